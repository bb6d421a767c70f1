// Typed access with an Error that names file and place.
#include "core/tokenizer/json_node.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"

namespace sluice {

void JsonNode::fail(const std::string& what) const {
  throw Error(fmt::format("{}: {}{}{}", file_->string(), place_, place_.empty() ? "" : ": ", what));
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  simdjson::dom::object object;
  if (element_.get(object)) fail("must be an object");
  simdjson::dom::element value;
  if (object.at_key(key).get(value) || value.is_null()) return std::nullopt;
  return JsonNode(*file_, value, fmt::format("{}{}{}", place_, place_.empty() ? "" : ".", printable(key)));
}

JsonNode JsonNode::at(std::string_view key) const {
  auto found = find(key);
  if (!found) fail(fmt::format("has no \"{}\"", key));
  return *found;
}

std::vector<JsonNode> JsonNode::items() const {
  simdjson::dom::array array;
  if (element_.get(array)) fail("must be a list");
  std::vector<JsonNode> nodes;
  for (const simdjson::dom::element item : array)
    nodes.emplace_back(*file_, item, fmt::format("{}[{}]", place_, nodes.size()));
  return nodes;
}

std::string_view JsonNode::text() const {
  std::string_view value;
  if (element_.get(value)) fail("must be a text");
  return value;
}

bool JsonNode::flag() const {
  bool value = false;
  if (element_.get(value)) fail("must be true or false");
  return value;
}

int64_t JsonNode::integer() const {
  int64_t value = 0;
  if (element_.get(value)) fail("must be an integer");
  return value;
}

std::string_view JsonNode::text_or(std::string_view key, std::string_view fallback) const {
  const auto found = find(key);
  return found ? found->text() : fallback;
}

bool JsonNode::flag_or(std::string_view key, bool fallback) const {
  const auto found = find(key);
  return found ? found->flag() : fallback;
}

simdjson::dom::element parse_json(const std::filesystem::path& file, simdjson::dom::parser& parser) {
  const simdjson::padded_string text(read_file(file, uint64_t(1) << 28));
  simdjson::dom::element root;
  const simdjson::error_code error = parser.parse(text).get(root);
  if (!error) return root;
  // simdjson is fast but does not say where; the slow parser does. It may forget what it reads.
  std::string what = simdjson::error_message(error);
  const auto forget = [](int, nlohmann::json::parse_event_t, nlohmann::json&) { return false; };
  try {
    [[maybe_unused]] const auto forgotten = nlohmann::json::parse(std::string_view(text.data(), text.size()), forget);
  } catch (const nlohmann::json::exception& slow) {
    what = json_complaint(slow.what());
  }
  throw Error(fmt::format("{}: {}", file.string(), what));
}

}  // namespace sluice
