// TOML as the configuration needs it: tables in file order whose every value knows where it stands, merged from
// several files and --set. Knows no key by name but `name` and `extends`. The only code that sees toml++.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/config/config.h"
#include "core/config/mistakes.h"

namespace sluice {

struct Node;

// Keys in the order of the file; few enough to search one by one.
class Table {
 public:
  struct Entry;
  std::vector<Entry> entries;

  // Made below, where Entry is complete.
  Table();
  Table(const Table&);
  Table(Table&&) noexcept;
  Table& operator=(const Table&);
  Table& operator=(Table&&) noexcept;
  ~Table();

  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  void set(std::string key, Place key_place, Node value);
  void erase(std::string_view key);
};

struct Node {
  std::variant<bool, int64_t, double, std::string, std::vector<Node>, Table> value = false;
  Place place;

  const Table* table() const { return std::get_if<Table>(&value); }
  Table* table() { return std::get_if<Table>(&value); }
  const std::vector<Node>* array() const { return std::get_if<std::vector<Node>>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  bool scalar() const { return !table() && !array(); }
  Scalar as_scalar() const;  // scalars only
};

struct Table::Entry {
  std::string key;
  Place key_place;  // of the key, for messages about it; the value's place is node.place
  Node node;
};

inline Table::Table() = default;
inline Table::Table(const Table&) = default;
inline Table::Table(Table&&) noexcept = default;
inline Table& Table::operator=(const Table&) = default;
inline Table& Table::operator=(Table&&) noexcept = default;
inline Table::~Table() = default;

// "the string \"abc\"", "the integer 3", "a table": what was found, for messages.
std::string found(const Node& node);

// The file as it stands, without what it extends. Mistakes (unreadable, bad syntax) are added; the result is
// then empty.
Table read_table(const std::filesystem::path& file, Mistakes& mistakes);
// "a.b=value": the value is TOML, or text where it is none.
Table read_override(std::string_view text, Mistakes& mistakes);

// What stands between the braces of an inline table, "a = 1, b = 2". `origin` is everybody's place.
Table read_pairs(std::string_view text, const std::string& origin, Mistakes& mistakes);

// `later` over `earlier`, table by table. Where a table names a module other than the earlier one did, nothing
// of the earlier one stays: its keys belonged to that module.
void merge(Table& earlier, const Table& later);

// The file with what it extends below it. `name` is not inherited. `base` gets only what was extended, `own`
// only the file itself.
struct FileLayers {
  Table base, own;
  Table merged() const;
};
FileLayers read_layers(const std::filesystem::path& file, Mistakes& mistakes);
// The same for an `extends` value (text or array of texts) found elsewhere.
Table read_extended(const Node& extends, Mistakes& mistakes);

// Sets "cache.budget" in the table, making tables on the way.
void set_path(Table& table, std::string_view path, const Node& value);

// The table as TOML. `comment`: adds to every value where it comes from.
std::string write_table(const Table& table, bool comment);
// A value on one line.
std::string write_value(const Node& node);

}  // namespace sluice
