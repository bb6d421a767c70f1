// Finds a model by the name a configuration gives it; see find_model in config.h. Opens nothing.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/config/config.h"
#include "core/config/schema.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

fs::path model_cache() {
  if (const char* folder = std::getenv("SLUICE_MODELS"); folder && *folder) return folder;
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache" / "sluice" / "models";
  return {};
}

// Names that the folder's models go by.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".gguf") {
      names.push_back(entry->path().stem().string());
    } else if (entry->is_directory(error)) {
      names.push_back(entry->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

fs::path find_model(const std::string& name, const Place& place) {
  const std::string where = place.text.empty() ? "" : place.text + ": ";
  if (name.empty()) {
    throw Error(where + "no model is given: set model.path to a GGUF file, a Hugging Face folder or a model's name");
  }
  std::vector<fs::path> tries = {resolve_path(name, place)};
  const fs::path cache = model_cache();
  const bool plain = fs::path(name).is_relative() && !name.starts_with("~");
  if (plain && !cache.empty()) {
    tries.push_back(cache / (name + ".gguf"));
    tries.push_back(cache / name);
  }
  std::error_code error;
  for (const fs::path& path : tries) {
    if (fs::exists(path, error)) return path;
  }
  std::vector<std::string> texts;
  for (const fs::path& path : tries) texts.push_back(printable(path.string(), 500));
  throw Error(fmt::format("{}there is no model \"{}\"{}; looked for {}", where, printable(name),
                          did_you_mean(name, names_in(cache)), join(texts)));
}

}  // namespace sluice
