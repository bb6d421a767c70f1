// Typed keys of a table of a task file. What is wrong with a value, keys that are missing and keys that nobody asked
// for become mistakes with their places; the reader goes on with a default.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/tree.h"
#include "core/tasks/task_file.h"

namespace sluice {

PlacedTemplate placed_template(const Node& node, Mistakes& mistakes);

class TableReader {
 public:
  // `label` is the table's name in messages, "" at the top of the file. The table outlives the reader.
  TableReader(const Table& table, std::string label, Place place, Mistakes& mistakes);

  // What stands under a key. Those without a default must be there.
  std::string text(const std::string& key);
  std::string text(const std::string& key, std::string_view initial);
  std::vector<std::string> texts(const std::string& key);
  bool boolean(const std::string& key, bool initial);
  int64_t integer(const std::string& key, int64_t low, int64_t high, int64_t initial);
  double number(const std::string& key, double low, double high, double initial);
  std::vector<int64_t> integers(const std::string& key, int64_t low, int64_t high);
  std::vector<double> numbers(const std::string& key, double low, double high);
  std::string choice(const std::string& key, std::span<const std::string_view> choices);
  std::string choice(const std::string& key, std::span<const std::string_view> choices, std::string_view initial);
  std::vector<std::string> choices(const std::string& key, std::span<const std::string_view> choices);
  std::optional<PythonRegex> expression(const std::string& key);
  std::vector<PythonRegex> expressions(const std::string& key);
  PlacedTemplate text_template(const std::string& key);
  std::vector<PlacedTemplate> text_templates(const std::string& key);
  const Table* table(const std::string& key);
  std::vector<Node> array(const std::string& key);

  bool has(const std::string& key) const { return table_.find(key) != nullptr; }
  // Of a key's value; of the table if the key is not there.
  Place place(const std::string& key) const;
  const Place& own_place() const { return place_; }
  const std::string& label() const { return label_; }
  // Keys that were not asked for are mistakes.
  void finish();

 private:
  const Node* get(const std::string& key);
  std::string name(const std::string& key) const { return label_.empty() ? key : label_ + "." + key; }
  void wrong(const Node& node, const std::string& key, const std::string& takes);
  bool one_of(const Node& node, const std::string& key, std::span<const std::string_view> choices);
  std::optional<PythonRegex> compile(const Node& node, const std::string& key);

  const Table& table_;
  std::string label_;
  Place place_;
  Mistakes& mistakes_;
  std::set<std::string> asked_;
};

}  // namespace sluice
