// See json_file.h.
#include "core/base/json_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"

namespace sluice {
namespace {

template <class Json>
Json read(const std::filesystem::path& path, uint64_t limit, int depth) {
  const std::string text = read_file(path, limit);
  const auto guard = [&](int level, typename Json::parse_event_t, Json&) {
    if (level > depth) throw Error(fmt::format("{}: nests deeper than {} levels", path.string(), depth));
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: is not valid JSON: {}", path.string(), json_complaint(error.what())));
  }
}

}  // namespace

nlohmann::json read_json_file(const std::filesystem::path& path, uint64_t limit, int depth) {
  return read<nlohmann::json>(path, limit, depth);
}

nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& path, uint64_t limit, int depth) {
  return read<nlohmann::ordered_json>(path, limit, depth);
}

}  // namespace sluice
