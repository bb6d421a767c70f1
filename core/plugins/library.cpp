// See library.h: library objects that are kept for ever, and what loaders say reworded.
#include "core/plugins/library.h"

#include <fmt/format.h>

#include <map>
#include <mutex>

#define BOOST_DLL_USE_STD_FS
#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>

#include "core/plugins/elf_check.h"
#include "core/plugins/interfaces.h"
#include "core/plugins/probe.h"

namespace sluice {
namespace {

constexpr char kEntry[] = "sluice_plugin_entry";

LoadedLibrary load(const std::filesystem::path& canonical, const Prober* prober, boost::dll::shared_library& library) {
  namespace dll = boost::dll;
  std::string reason = damaged_library(canonical);
  if (reason.empty() && prober) reason = probe_library(*prober, canonical);
  if (!reason.empty()) return {nullptr, std::move(reason)};
  try {
    // The throwing form: only its message has the loader's text in it.
    library.load(canonical, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
  } catch (const std::exception& error) {
    return {nullptr, reword_loader_message(error.what(), canonical)};
  }
  if (!library.has(kEntry)) {
    return {nullptr, fmt::format("exports no {}, so it is not a Sluice plugin", kEntry)};
  }
  const sluice_plugin* plugin = library.get<const sluice_plugin*()>(kEntry)();
  reason = refuse_entry(plugin);
  if (!reason.empty()) plugin = nullptr;
  return {plugin, std::move(reason)};
}

}  // namespace

LoadedLibrary load_library(const std::filesystem::path& canonical, const Prober* prober) {
  struct Entry {
    boost::dll::shared_library library;
    LoadedLibrary result;
  };
  // Never destroyed: a destroyed library object would unload its library.
  static auto& entries = *new std::map<std::filesystem::path, Entry>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const auto [entry, added] = entries.try_emplace(canonical);
  if (added) try {
      entry->second.result = load(canonical, prober, entry->second.library);
    } catch (const std::bad_alloc&) {  // to be unavailable without a reason is for nobody
      entry->second.result.reason = "memory ran out";
    }
  return entry->second.result;
}

std::filesystem::path program_folder() {
  std::error_code error;
  const std::filesystem::path program = boost::dll::program_location().string();
  const std::filesystem::path canonical = std::filesystem::canonical(program, error);
  return (error ? program : canonical).parent_path();
}

std::string reword_loader_message(std::string text, const std::filesystem::path& library) {
  constexpr std::string_view kOpening = "dlerror system message: ";
  if (const size_t at = text.find(kOpening); at != std::string::npos) text.erase(0, at + kOpening.size());
  if (const size_t at = text.rfind("): "); at != std::string::npos) text.erase(at);
  const std::string own = library.string() + ": ";
  if (text.starts_with(own)) text.erase(0, own.size());

  constexpr std::string_view kMissing = ": cannot open shared object file: No such file or directory";
  constexpr std::string_view kUndefined = "undefined symbol: ";
  if (text.ends_with(kMissing)) {
    text.resize(text.size() - kMissing.size());
    return fmt::format("needs {}, which the loader does not find on this machine", text);
  }
  if (text.starts_with(kUndefined)) {
    return fmt::format("uses the symbol {}, which nothing here provides", text.substr(kUndefined.size()));
  }
  if (text == "file too short" || text == "invalid ELF header") return "is not a shared library (" + text + ")";
  return "does not load: " + text;
}

}  // namespace sluice
