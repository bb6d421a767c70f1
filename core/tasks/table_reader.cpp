// See table_reader.h.
#include "core/tasks/table_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {

PlacedTemplate placed_template(const Node& node, Mistakes& mistakes) {
  PlacedTemplate result{{}, node.place};
  try {
    result.text = TextTemplate(*node.text());
  } catch (const Error& error) {
    mistakes.add(node.place, error.what());
  }
  return result;
}

TableReader::TableReader(const Table& table, std::string label, Place place, Mistakes& mistakes)
    : table_(table), label_(std::move(label)), place_(std::move(place)), mistakes_(mistakes) {}

const Node* TableReader::get(const std::string& key) {
  asked_.insert(key);
  return table_.find(key);
}

Place TableReader::place(const std::string& key) const {
  const Node* node = table_.find(key);
  return node ? node->place : place_;
}

void TableReader::wrong(const Node& node, const std::string& key, const std::string& takes) {
  mistakes_.add(node.place, fmt::format("{} takes {}, not {}", name(key), takes, found(node)));
}

std::string TableReader::text(const std::string& key) {
  if (!has(key)) mistakes_.add(place_, fmt::format("{} is missing", name(key)));
  return text(key, "");
}

std::string TableReader::text(const std::string& key, std::string_view initial) {
  const Node* node = get(key);
  if (!node) return std::string(initial);
  if (node->text()) return *node->text();
  wrong(*node, key, "text");
  return std::string(initial);
}

std::vector<Node> TableReader::array(const std::string& key) {
  const Node* node = get(key);
  if (!node) return {};
  if (node->array()) return *node->array();
  wrong(*node, key, "a list");
  return {};
}

std::vector<std::string> TableReader::texts(const std::string& key) {
  std::vector<std::string> result;
  for (const Node& node : array(key)) {
    if (node.text())
      result.push_back(*node.text());
    else
      wrong(node, key, "texts");
  }
  return result;
}

bool TableReader::boolean(const std::string& key, bool initial) {
  const Node* node = get(key);
  if (!node) return initial;
  if (const bool* value = std::get_if<bool>(&node->value)) return *value;
  wrong(*node, key, "true or false");
  return initial;
}

int64_t TableReader::integer(const std::string& key, int64_t low, int64_t high, int64_t initial) {
  const Node* node = get(key);
  if (!node) return initial;
  const int64_t* value = std::get_if<int64_t>(&node->value);
  if (value && *value >= low && *value <= high) return *value;
  wrong(*node, key, fmt::format("a whole number from {} to {}", low, high));
  return initial;
}

double TableReader::number(const std::string& key, double low, double high, double initial) {
  const Node* node = get(key);
  if (!node) return initial;
  const int64_t* whole = std::get_if<int64_t>(&node->value);
  const double* real = std::get_if<double>(&node->value);
  const double value = whole ? double(*whole) : real ? *real : high + 1;
  if (value >= low && value <= high) return value;
  wrong(*node, key, fmt::format("a number from {} to {}", low, high));
  return initial;
}

std::vector<int64_t> TableReader::integers(const std::string& key, int64_t low, int64_t high) {
  std::vector<int64_t> result;
  for (const Node& node : array(key)) {
    const int64_t* value = std::get_if<int64_t>(&node.value);
    if (value && *value >= low && *value <= high)
      result.push_back(*value);
    else
      wrong(node, key, fmt::format("whole numbers from {} to {}", low, high));
  }
  if (result.empty()) mistakes_.add(place(key), fmt::format("{} takes one or more whole numbers", name(key)));
  return result;
}

std::vector<double> TableReader::numbers(const std::string& key, double low, double high) {
  std::vector<double> result;
  for (const Node& node : array(key)) {
    const int64_t* whole = std::get_if<int64_t>(&node.value);
    const double* real = std::get_if<double>(&node.value);
    const double value = whole ? double(*whole) : real ? *real : high + 1;
    if (value >= low && value <= high)
      result.push_back(value);
    else
      wrong(node, key, fmt::format("numbers from {} to {}", low, high));
  }
  if (result.empty()) mistakes_.add(place(key), fmt::format("{} takes one or more numbers", name(key)));
  return result;
}

bool TableReader::one_of(const Node& node, const std::string& key, std::span<const std::string_view> choices) {
  const std::string* text = node.text();
  if (text && std::find(choices.begin(), choices.end(), *text) != choices.end()) return true;
  mistakes_.add(node.place, fmt::format("{} takes one of {}, not {}{}", name(key), join(choices), found(node),
                                        text ? did_you_mean(*text, choices) : ""));
  return false;
}

std::string TableReader::choice(const std::string& key, std::span<const std::string_view> choices) {
  if (!has(key)) mistakes_.add(place_, fmt::format("{} is missing: one of {}", name(key), join(choices)));
  return choice(key, choices, choices[0]);
}

std::string TableReader::choice(const std::string& key, std::span<const std::string_view> choices,
                                std::string_view initial) {
  const Node* node = get(key);
  return std::string(node && one_of(*node, key, choices) ? std::string_view(*node->text()) : initial);
}

std::vector<std::string> TableReader::choices(const std::string& key, std::span<const std::string_view> choices) {
  std::vector<std::string> result;
  for (const Node& node : array(key))
    if (one_of(node, key, choices)) result.push_back(*node.text());
  return result;
}

std::optional<PythonRegex> TableReader::compile(const Node& node, const std::string& key) {
  if (!node.text()) {
    wrong(node, key, "a regular expression");
    return std::nullopt;
  }
  try {
    return PythonRegex(*node.text());
  } catch (const Error& error) {
    mistakes_.add(node.place, fmt::format("{}: {}", name(key), error.what()));
    return std::nullopt;
  }
}

std::optional<PythonRegex> TableReader::expression(const std::string& key) {
  const Node* node = get(key);
  if (node) return compile(*node, key);
  mistakes_.add(place_, fmt::format("{} is missing", name(key)));
  return std::nullopt;
}

std::vector<PythonRegex> TableReader::expressions(const std::string& key) {
  std::vector<PythonRegex> result;
  for (const Node& node : array(key))
    if (std::optional<PythonRegex> one = compile(node, key)) result.push_back(std::move(*one));
  return result;
}

PlacedTemplate TableReader::text_template(const std::string& key) {
  const Node* node = get(key);
  if (!node) return {{}, place_};
  if (node->text()) return placed_template(*node, mistakes_);
  wrong(*node, key, "text");
  return {{}, place_};
}

std::vector<PlacedTemplate> TableReader::text_templates(const std::string& key) {
  std::vector<PlacedTemplate> result;
  for (const Node& node : array(key)) {
    if (node.text())
      result.push_back(placed_template(node, mistakes_));
    else
      wrong(node, key, "texts");
  }
  return result;
}

const Table* TableReader::table(const std::string& key) {
  const Node* node = get(key);
  if (!node) return nullptr;
  if (!node->table()) wrong(*node, key, "a table");
  return node->table();
}

void TableReader::finish() {
  for (const Table::Entry& entry : table_.entries) {
    if (asked_.count(entry.key)) continue;
    mistakes_.add(entry.key_place,
                  fmt::format("{} has no \"{}\"; it takes: {}{}", label_.empty() ? "a task" : "[" + label_ + "]",
                              printable(entry.key), join(asked_), did_you_mean(entry.key, asked_)));
  }
}

}  // namespace sluice
