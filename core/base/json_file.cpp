// See json_file.h.
#include "core/base/json_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"

namespace sluice {

nlohmann::json read_json_file(const std::filesystem::path& path, uint64_t limit, int depth) {
  const std::string text = read_file(path, limit);
  const auto guard = [&](int level, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (level > depth) throw Error(fmt::format("{}: nests deeper than {} levels", path.string(), depth));
    return true;
  };
  try {
    return nlohmann::json::parse(text, guard);
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: is not valid JSON: {}", path.string(), json_complaint(error.what())));
  }
}

}  // namespace sluice
