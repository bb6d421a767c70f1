// A place in a large JSON file, for readers that must say where something is wrong: a simdjson element with the
// file and the path to it.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class JsonNode {
 public:
  JsonNode(const std::filesystem::path& file, simdjson::dom::element element, std::string place = {})
      : file_(&file), element_(element), place_(std::move(place)) {}

  const simdjson::dom::element& element() const { return element_; }
  [[noreturn]] void fail(const std::string& what) const;
  // Of an object; nothing if the key is absent or null.
  std::optional<JsonNode> find(std::string_view key) const;
  JsonNode at(std::string_view key) const;
  std::vector<JsonNode> items() const;  // of an array
  std::string_view text() const;
  bool flag() const;
  int64_t integer() const;
  // Of an object's key, or the fallback if it is absent or null.
  std::string_view text_or(std::string_view key, std::string_view fallback) const;
  bool flag_or(std::string_view key, bool fallback) const;

 private:
  const std::filesystem::path* file_;
  simdjson::dom::element element_;
  std::string place_;
};

// Parses `file` with `parser`, which owns the result. A syntax error is an Error with line and column.
simdjson::dom::element parse_json(const std::filesystem::path& file, simdjson::dom::parser& parser);

}  // namespace sluice
