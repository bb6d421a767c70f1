// Values of the template engine, with Python's notions of truth, equality, order and spelling.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/tokenizer/template_text.h"

namespace sluice::jinja {

struct Value;
using List = std::vector<Value>;

// Keys in order of insertion. A namespace() is one that a template may change.
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;
  bool is_namespace = false;
  const Value* find(std::string_view key) const;
  void set(std::string_view key, Value value);
};

struct Undefined {
  std::string name;  // what was looked for
};
struct None {};
struct Function {
  std::string name;
};

constexpr int kDeepestValue = 32;

struct Value {
  std::variant<Undefined, None, bool, int64_t, double, MarkedText, std::shared_ptr<const List>, std::shared_ptr<Dict>,
               Function>
      held;
  // Lists and dicts within one another. A namespace within one of them counts as too deep, since it could close a
  // circle.
  int depth = 0;

  Value() = default;
  template <class T>
  Value(T value) : held(std::move(value)) {}
  Value(List list);
  Value(Dict dict);

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(held);
  }
  const MarkedText* text() const { return std::get_if<MarkedText>(&held); }
  const List* list() const {
    const auto* list = std::get_if<std::shared_ptr<const List>>(&held);
    return list ? list->get() : nullptr;
  }
  Dict* dict() const {
    const auto* dict = std::get_if<std::shared_ptr<Dict>>(&held);
    return dict ? dict->get() : nullptr;
  }
  // A bool counts as 0 or 1, as in Python.
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;
};

// What kind of value this is, for messages: "a text", "a list" ...
std::string kind_of(const Value& value);
bool truthy(const Value& value);
// Every comparison made takes one from `budget`; without any left the answer is false.
bool equal(const Value& a, const Value& b, size_t& budget);
// a < b; nothing if the two have no order.
std::optional<bool> less(const Value& a, const Value& b);
// As `{{ value }}` prints it; nothing for what has no agreed spelling here (lists, dicts, functions).
std::optional<MarkedText> printed(const Value& value);
// As json.dumps(value, ensure_ascii=False, indent=indent) spells it (indent < 0: on one line); nothing for what JSON
// does not have, or beyond `limit` bytes.
std::optional<MarkedText> to_json(const Value& value, int indent, size_t limit);

}  // namespace sluice::jinja
