// Every key of the configuration that does not belong to a module: its type, default, range and meaning, and how
// a value gets into Config. Checks, `config show`, the reference and the JSON schema are all made from it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "core/config/config.h"
#include "core/config/tree.h"

namespace sluice {

enum class KeyType { kBool, kInteger, kNumber, kText, kChoice, kPath, kTexts, kPaths, kBudget };

struct Key {
  std::string_view path;  // "cache.interval"
  KeyType type;
  std::string_view initial;  // as TOML; empty: there is no default
  double low, high;          // of integers and numbers
  bool above_low;            // low itself is out of range
  std::string_view choices;  // "exact|chunked"
  std::string_view doc;
  void (*set)(Config& config, const Node& node);  // of a value that passed check_value
  std::string_view later = {};                    // a choice that will come: refused with that reason
};

// A table of the configuration: "cache", or "" for the top level. Module tables take the module's keys as well.
struct Section {
  std::string_view name, doc;
  bool module = false;
};

std::span<const Key> schema_keys();
std::span<const Section> schema_sections();
const Key* find_key(std::string_view path);

// "an integer, at least 1"
std::string describe_key_type(const Key& key);
// Empty if the value is what the key takes, otherwise "takes an integer, at least 1, not 0".
std::string check_value(const Key& key, const Node& node);

// "20%", "64MiB", 1024; empty if it is none.
std::optional<Budget> parse_budget(const Node& node);
// "50%" or "12.5%" in hundredths of a percent, 0 to 10000; empty if it is none.
std::optional<int64_t> parse_share(std::string_view text);
// A path as the file means it: relative to the folder of its place, "~/" expanded.
std::filesystem::path resolve_path(const std::string& path, const Place& place);

}  // namespace sluice
