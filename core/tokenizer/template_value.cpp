// Python's rules for truth, equality, order, str() and json.dumps(), for the values a chat template can meet.
#include "core/tokenizer/template_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::jinja {
namespace {

// fmt and Python both give the shortest digits that read back the same, and change to exponents at 1e-4 and 1e16.
std::string spelled(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == text.npos) text += ".0";
  return text;
}

void json_text(const MarkedText& text, MarkedText& out) {
  out.append("\"", false);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    std::string escaped;
    switch (c) {
      case '"':
        escaped = "\\\"";
        break;
      case '\\':
        escaped = "\\\\";
        break;
      case '\n':
        escaped = "\\n";
        break;
      case '\r':
        escaped = "\\r";
        break;
      case '\t':
        escaped = "\\t";
        break;
      case '\b':
        escaped = "\\b";
        break;
      case '\f':
        escaped = "\\f";
        break;
      default:
        escaped = uint8_t(c) < 0x20 ? fmt::format("\\u{:04x}", uint8_t(c)) : std::string(1, c);
    }
    out.append(escaped, text.marked(i));
  }
  out.append("\"", false);
}

bool json_value(const Value& value, int indent, int depth, size_t limit, MarkedText& out) {
  if (out.size() > limit) return false;
  const auto line = [&](int level) {
    if (indent >= 0) out.append("\n" + std::string(size_t(indent) * size_t(level), ' '), false);
  };
  const auto separator = [&](bool first) {
    if (!first) out.append(indent >= 0 ? "," : ", ", false);
    line(depth + 1);
  };
  if (const MarkedText* text = value.text()) return json_text(*text, out), true;
  if (value.is<None>()) return out.append("null", false), true;
  if (const bool* flag = std::get_if<bool>(&value.held)) return out.append(*flag ? "true" : "false", false), true;
  if (const auto number = value.number()) {
    out.append(value.integer() ? fmt::format("{}", *value.integer()) : spelled(*number), false);
    return true;
  }
  if (const List* list = value.list()) {
    if (list->empty()) return out.append("[]", false), true;
    out.append("[", false);
    for (const Value& item : *list) {
      separator(&item == list->data());
      if (!json_value(item, indent, depth + 1, limit, out)) return false;
    }
    line(depth);
    return out.append("]", false), true;
  }
  const Dict* dict = value.dict();
  if (!dict || dict->is_namespace) return false;
  if (dict->entries.empty()) return out.append("{}", false), true;
  out.append("{", false);
  for (const auto& [key, item] : dict->entries) {
    separator(&key == &dict->entries.front().first);
    json_text(MarkedText(key), out);
    out.append(": ", false);
    if (!json_value(item, indent, depth + 1, limit, out)) return false;
  }
  line(depth);
  return out.append("}", false), true;
}

int depth_within(const Value& item) {
  const Dict* dict = item.dict();
  return dict && dict->is_namespace ? kDeepestValue + 1 : item.depth + 1;
}

}  // namespace

Value::Value(List list) {
  for (const Value& item : list) depth = std::max(depth, depth_within(item));
  held = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) {
  if (!dict.is_namespace)
    for (const auto& [key, item] : dict.entries) depth = std::max(depth, depth_within(item));
  held = std::make_shared<Dict>(std::move(dict));
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

void Dict::set(std::string_view key, Value value) {
  for (auto& [name, old] : entries)
    if (name == key) return void(old = std::move(value));
  entries.emplace_back(key, std::move(value));
}

std::optional<int64_t> Value::integer() const {
  if (const bool* flag = std::get_if<bool>(&held)) return *flag;
  if (const int64_t* integer = std::get_if<int64_t>(&held)) return *integer;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* number = std::get_if<double>(&held)) return *number;
  if (const auto value = integer()) return double(*value);
  return std::nullopt;
}

std::string kind_of(const Value& value) {
  if (const Undefined* missing = std::get_if<Undefined>(&value.held))
    return fmt::format("'{}', which is undefined", missing->name);
  if (value.is<None>()) return "none";
  if (value.is<bool>()) return "a truth value";
  if (value.number()) return "a number";
  if (value.text()) return "a text";
  if (value.list()) return "a list";
  if (value.dict()) return "a dict";
  return fmt::format("the function '{}'", std::get<Function>(value.held).name);
}

bool truthy(const Value& value) {
  if (value.is<Undefined>() || value.is<None>()) return false;
  if (const auto number = value.number()) return *number != 0;
  if (const MarkedText* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->empty();
  if (const Dict* dict = value.dict()) return dict->is_namespace || !dict->entries.empty();
  return true;
}

bool equal(const Value& a, const Value& b, size_t& budget) {
  if (budget == 0) return false;
  --budget;
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.held.index() != b.held.index()) return false;
  if (a.text()) return a.text()->bytes() == b.text()->bytes();
  if (a.list()) {
    if (a.list()->size() != b.list()->size()) return false;
    for (size_t i = 0; i < a.list()->size(); ++i)
      if (!equal((*a.list())[i], (*b.list())[i], budget)) return false;
    return true;
  }
  if (a.dict()) {
    if (a.dict() == b.dict()) return true;
    if (a.dict()->is_namespace || b.dict()->is_namespace) return false;
    if (a.dict()->entries.size() != b.dict()->entries.size()) return false;
    for (const auto& [key, value] : a.dict()->entries) {
      const Value* other = b.dict()->find(key);
      if (!other || !equal(value, *other, budget)) return false;
    }
    return true;
  }
  if (const Function* function = std::get_if<Function>(&a.held))
    return function->name == std::get<Function>(b.held).name;
  return true;
}

std::optional<bool> less(const Value& a, const Value& b) {
  if (a.integer() && b.integer()) return *a.integer() < *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number();
  // UTF-8 sorts as code points do.
  if (a.text() && b.text()) return a.text()->bytes() < b.text()->bytes();
  return std::nullopt;
}

std::optional<MarkedText> printed(const Value& value) {
  if (value.text()) return *value.text();
  if (value.is<Undefined>()) return MarkedText();
  if (value.is<None>()) return MarkedText("None");
  if (const bool* flag = std::get_if<bool>(&value.held)) return MarkedText(*flag ? "True" : "False");
  if (value.integer()) return MarkedText(fmt::format("{}", *value.integer()));
  if (value.number()) return MarkedText(spelled(*value.number()));
  return std::nullopt;
}

std::optional<MarkedText> to_json(const Value& value, int indent, size_t limit) {
  MarkedText out;
  if (!json_value(value, indent, 0, limit, out)) return std::nullopt;
  return out;
}

}  // namespace sluice::jinja
