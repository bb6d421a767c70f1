// See probe.h: the child process, how it may end, and what is remembered of it.
#include "core/plugins/probe.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/plugins/describe.h"
#include "core/plugins/library.h"
#include "core/plugins/registry.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSteps = "LM";  // what the child reports: loaded; looked at
constexpr std::string_view kPassed = "passed";

// Of the contents, eight bytes at a time: a library may have hundreds of megabytes.
uint64_t fingerprint(const fs::path& library) {
  const MappedFile file(library);
  uint64_t hash = 0xCBF29CE484222325u;
  const auto add = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  };
  const std::span<const std::byte> bytes = file.bytes();
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    add(word);
  }
  add(bytes.size());
  for (const char c : std::string_view(SLUICE_VERSION)) add(uint64_t(c));
  return hash;
}

std::string judge(const ChildEnd& end, double seconds) {
  constexpr const char* kWhen[] = {"it is loaded", "its modules are looked at", "the program ends"};
  size_t steps = 0;  // that were reported
  while (steps < kSteps.size() && steps < end.answer.size() && end.answer[steps] == kSteps[steps]) ++steps;
  const char* when = kWhen[steps];
  switch (end.how) {
    case ChildEnd::How::kTimeout:
      return fmt::format("does not come back within {:g} s when {}", seconds, when);
    case ChildEnd::How::kSignal:
      return fmt::format("crashes when {} ({})", when, signal_text(end.code));
    case ChildEnd::How::kExit:
      break;
  }
  if (steps < kSteps.size()) return fmt::format("ends the program when {} (exit code {})", when, end.code);
  return end.code == 0 ? "" : fmt::format("makes the program fail when it ends (exit code {})", end.code);
}

}  // namespace

std::string probe_library(const Prober& prober, const fs::path& library) {
  fs::path memory;
  try {
    if (!prober.cache.empty()) memory = prober.cache / fmt::format("{:016x}", fingerprint(library));
    std::error_code error;
    if (!memory.empty() && fs::is_regular_file(memory, error)) {
      const std::string remembered = read_file(memory, 4096);
      if (remembered == kPassed) return {};
      if (!prober.again && !remembered.empty()) return remembered;
    }
  } catch (const Error&) {
    memory.clear();  // not readable: what follows will say so, if it matters
  }
  std::vector<std::string> command = prober.command;
  command.push_back(library.string());
  std::string reason;
  try {
    const ChildEnd end = run_child(command, prober.seconds);
    reason = judge(end, prober.seconds);
    if (end.how == ChildEnd::How::kTimeout) return reason;  // a busy machine may be all that was wrong
  } catch (const Error&) {
    return {};  // no process to be had; loading may still work
  }
  if (!memory.empty()) {
    try {
      std::error_code error;
      fs::create_directories(memory.parent_path(), error);
      write_file(memory, reason.empty() ? kPassed : std::string_view(reason));
    } catch (const Error&) {
      // Nothing is lost but the time of another probe.
    }
  }
  return reason;
}

int run_probe(const fs::path& library) {
  enter_child();
  const LoadedLibrary loaded = load_library(library);
  if (!answer(std::string(kSteps.substr(0, 1)))) return kExitFailed;
  if (loaded.plugin) {
    ThreadPool pool(1);
    Registry registry({}, pool);
    registry.add(*loaded.plugin, library);
    for (const Module& module : registry.modules())
      if (module.module) describe_text(module);
  }
  return answer(std::string(kSteps.substr(1))) ? kExitOk : kExitFailed;
}

fs::path probe_cache() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) return fs::path(folder) / "sluice/probes";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache/sluice/probes";
  return {};
}

}  // namespace sluice
