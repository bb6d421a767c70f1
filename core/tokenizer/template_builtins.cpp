// The filters, tests and methods that chat templates use, each as Jinja and Python define it. A name that is not here
// is refused where a template reaches it.
#include <fmt/format.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/text.h"
#include "core/tokenizer/template_evaluator.h"
#include "core/tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

constexpr size_t kMostJson = size_t(8) << 20;

const MarkedText& need_text(Evaluator& evaluator, const Arguments& a, const Value& value) {
  const MarkedText* text = value.text();
  if (!text) evaluator.fail(a.at, fmt::format("{} needs a text, not {}", a.what, kind_of(value)));
  evaluator.charge(a.at, text->size());
  return *text;
}

// Argument `place` as a text; NULL if it is absent or none.
const std::string* text_argument(Evaluator& evaluator, const Arguments& a, size_t place, std::string_view name) {
  const Value* value = a.find(place, name);
  if (!value || value->is<None>()) return nullptr;
  return &need_text(evaluator, a, *value).bytes();
}

int64_t number_argument(Evaluator& evaluator, const Arguments& a, size_t place, std::string_view name,
                        int64_t fallback) {
  const Value* value = a.find(place, name);
  if (!value || value->is<None>()) return fallback;
  const auto number = value->integer();
  if (!number) evaluator.fail(a.at, fmt::format("{}: '{}' must be a number", a.what, name));
  return *number;
}

MarkedText with_case(const MarkedText& text, bool upper, size_t begin = 0) {
  MarkedText made = text.substr(0, begin);
  for (size_t at = begin; at < text.size();) {
    const Character c = character_at(text.bytes(), at);
    char16_t from[2], to[8];
    int32_t from_length = 0;
    UErrorCode status = U_ZERO_ERROR;
    if (c.valid) {
      U16_APPEND_UNSAFE(from, from_length, c.value);
      const int32_t length = upper ? u_strToUpper(to, 8, from, from_length, "", &status)
                                   : u_strToLower(to, 8, from, from_length, "", &status);
      std::string bytes;
      for (int32_t i = 0; i < length && i < 8 && U_SUCCESS(status);) {
        UChar32 next;
        U16_NEXT(to, i, length, next);
        append_utf8(bytes, uint32_t(next));
      }
      made.append(bytes, text.marked(at));
    } else {
      made.append(text.substr(at, 1));
    }
    at += c.length;
  }
  return made;
}

MarkedText capitalized(const MarkedText& text) {
  if (text.empty()) return text;
  const size_t first = character_at(text.bytes(), 0).length;
  MarkedText made = with_case(text.substr(0, first), true);
  made.append(with_case(text.substr(first), false));
  return made;
}

MarkedText replaced(Evaluator& evaluator, const Arguments& a, const MarkedText& text) {
  const Value* old = a.find(0, "old");
  const Value* with = a.find(1, "new");
  if (!old || !with || !old->text() || !with->text()) evaluator.fail(a.at, a.what + " needs two texts");
  const std::string& from = old->text()->bytes();
  const MarkedText& to = *with->text();
  int64_t count = number_argument(evaluator, a, 2, "count", -1);
  if (from.empty()) evaluator.fail(a.at, a.what + " of an empty text is not supported");
  evaluator.charge_search(a.at, text.size(), from.size());
  MarkedText made;
  size_t at = 0;
  for (size_t hit; count != 0 && (hit = text.bytes().find(from, at)) != std::string::npos; --count) {
    made.append(text.substr(at, hit - at));
    made.append(to);
    evaluator.charge(a.at, to.size());
    at = hit + from.size();
  }
  made.append(text.substr(at));
  return made;
}

// Python's split() without a separator: words between white space; with `most` the rest stays whole.
List split_at_space(const MarkedText& text, int64_t most) {
  const std::string& bytes = text.bytes();
  const auto skip = [&](size_t at, bool space) {
    for (Character c; (c = character_at(bytes, at)).length != 0 && python_space(c.value) == space;) at += c.length;
    return at;
  };
  List parts;
  for (size_t begin = skip(0, true); begin < bytes.size();) {
    if (most-- == 0) {
      parts.push_back(strip(text.substr(begin), nullptr, false, true));
      break;
    }
    const size_t end = skip(begin, false);
    parts.push_back(text.substr(begin, end - begin));
    begin = skip(end, true);
  }
  return parts;
}

List split(Evaluator& evaluator, const Arguments& a, const MarkedText& text, bool from_right) {
  const std::string* separator = text_argument(evaluator, a, 0, "sep");
  int64_t most = number_argument(evaluator, a, 1, "maxsplit", -1);
  if (!separator && from_right) evaluator.fail(a.at, a.what + " without a separator is not supported");
  if (!separator) return split_at_space(text, most);
  if (separator->empty()) evaluator.fail(a.at, a.what + " at an empty text");
  evaluator.charge_search(a.at, text.size(), separator->size());
  List parts;
  if (from_right) {
    size_t end = text.size();
    while (most-- != 0 && end >= separator->size()) {
      const size_t hit = text.bytes().rfind(*separator, end - separator->size());
      if (hit == std::string::npos) break;
      parts.push_back(text.substr(hit + separator->size(), end - hit - separator->size()));
      end = hit;
    }
    parts.push_back(text.substr(0, end));
    std::reverse(parts.begin(), parts.end());
  } else {
    size_t at = 0;
    for (size_t hit; most-- != 0 && (hit = text.bytes().find(*separator, at)) != std::string::npos;
         at = hit + separator->size())
      parts.push_back(text.substr(at, hit - at));
    parts.push_back(text.substr(at));
  }
  evaluator.charge_items(a.at, parts.size());
  return parts;
}

// One text or a list of texts of which any may match.
bool starts_or_ends(Evaluator& evaluator, const Arguments& a, const MarkedText& text, bool ends) {
  const Value* wanted = a.find(0, "prefix");
  if (!wanted) evaluator.fail(a.at, a.what + " needs a text");
  const List choices = wanted->list() ? *wanted->list() : List{*wanted};
  return std::any_of(choices.begin(), choices.end(), [&](const Value& choice) {
    const std::string& part = need_text(evaluator, a, choice).bytes();
    return ends ? text.bytes().ends_with(part) : text.bytes().starts_with(part);
  });
}

int64_t length_of(Evaluator& evaluator, const Arguments& a, const Value& value) {
  if (value.text()) return int64_t(character_count(need_text(evaluator, a, value).bytes()));
  if (value.list()) return int64_t(value.list()->size());
  if (value.dict() && !value.dict()->is_namespace) return int64_t(value.dict()->entries.size());
  if (value.is<Undefined>()) return 0;
  evaluator.fail(a.at, fmt::format("{} of {}", a.what, kind_of(value)));
}

// "a.b" of an item, as selectattr and map take it.
Value attribute_path(Evaluator& evaluator, Value value, std::string_view path) {
  while (!path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    value = evaluator.attribute(value, std::string(path.substr(0, dot)));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value;
}

// What the filters below go through: they take a none for nothing, which a loop does not.
List items_if_any(Evaluator& evaluator, const Arguments& a, const Value& value) {
  return truthy(value) ? evaluator.items_of(a.at, value) : List();
}

// selectattr, rejectattr, select, reject: the items whose attribute (or which themselves) pass a test.
Value selected(Evaluator& evaluator, const Arguments& a, const Value& value, bool by_attribute, bool wanted) {
  const std::string* attribute = by_attribute ? text_argument(evaluator, a, 0, "attribute") : nullptr;
  if (by_attribute && !attribute) evaluator.fail(a.at, a.what + " needs the name of an attribute");
  const size_t skipped = by_attribute ? 1 : 0;
  const std::string* test = text_argument(evaluator, a, skipped, "test");
  Arguments rest{a.at, test ? fmt::format("test '{}'", *test) : "", {}, {}};
  for (size_t i = skipped + 1; i < a.places.size(); ++i) rest.places.push_back(a.places[i]);
  List kept;
  for (const Value& item : items_if_any(evaluator, a, value)) {
    const Value tested = attribute ? attribute_path(evaluator, item, *attribute) : item;
    if ((test ? apply_test(evaluator, *test, tested, rest) : truthy(tested)) == wanted) kept.push_back(item);
  }
  return kept;
}

Value mapped(Evaluator& evaluator, const Arguments& a, const Value& value) {
  List made;
  const Value* attribute = a.names.find("attribute");
  const std::string* filter = attribute ? nullptr : text_argument(evaluator, a, 0, "filter");
  if (!attribute && !filter) evaluator.fail(a.at, a.what + " needs an attribute or a filter");
  Arguments rest{a.at, filter ? fmt::format("filter '{}'", *filter) : "", {}, {}};
  for (size_t i = 1; i < a.places.size(); ++i) rest.places.push_back(a.places[i]);
  for (const Value& item : items_if_any(evaluator, a, value)) {
    if (filter) {
      made.push_back(apply_filter(evaluator, *filter, item, rest));
      continue;
    }
    Value found = attribute_path(evaluator, item, need_text(evaluator, a, *attribute).bytes());
    const Value* fallback = a.names.find("default");
    made.push_back(found.is<Undefined>() && fallback ? *fallback : std::move(found));
  }
  return made;
}

Value joined(Evaluator& evaluator, const Arguments& a, const Value& value) {
  const Value* between = a.find(0, "d");
  const MarkedText separator = between ? evaluator.text_of(a.at, *between) : MarkedText();
  const std::string* attribute = text_argument(evaluator, a, 1, "attribute");
  MarkedText made;
  bool first = true;
  for (const Value& item : evaluator.items_of(a.at, value)) {
    if (!first) made.append(separator);
    first = false;
    const MarkedText part = evaluator.text_of(a.at, attribute ? attribute_path(evaluator, item, *attribute) : item);
    evaluator.charge(a.at, part.size() + separator.size());
    made.append(part);
  }
  return made;
}

Value to_integer(Evaluator& evaluator, const Arguments& a, const Value& value) {
  if (const auto integer = value.integer()) return *integer;
  if (const auto number = value.number(); number && std::fabs(*number) < 0x1p62) return int64_t(*number);
  int64_t result = 0;
  if (value.text()) {
    const std::string text = strip(*value.text(), nullptr, true, true).bytes();
    const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), result);
    if (error == std::errc() && end == text.data() + text.size()) return result;
  }
  return number_argument(evaluator, a, 0, "default", 0);
}

Value items_of_dict(const Dict& dict) {
  List pairs;
  for (const auto& [key, value] : dict.entries) pairs.push_back(List{MarkedText(key), value});
  return pairs;
}

Value json_of(Evaluator& evaluator, const Arguments& a, const Value& value) {
  for (const auto& [name, setting] : a.names.entries)
    if (name != "indent" && name != "ensure_ascii")
      evaluator.fail(a.at, fmt::format("argument '{}' of {} is not supported", printable(name), a.what));
  const Value* ascii = a.names.find("ensure_ascii");
  if (ascii && truthy(*ascii)) evaluator.fail(a.at, "ensure_ascii=true is not supported");
  if (!a.places.empty()) evaluator.fail(a.at, a.what + " takes its arguments by name");
  auto text =
      to_json(value, int(std::clamp<int64_t>(number_argument(evaluator, a, 0, "indent", -1), -1, 16)), kMostJson);
  if (!text) evaluator.fail(a.at, fmt::format("{} cannot be written as JSON, or not in 8 MiB", kind_of(value)));
  evaluator.charge(a.at, text->size());
  return std::move(*text);
}

}  // namespace

Value apply_filter(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& a) {
  const auto text = [&] { return evaluator.text_of(a.at, value); };
  if (name == "trim") {
    const MarkedText given = text();
    evaluator.charge(a.at, given.size());
    return strip(given, text_argument(evaluator, a, 0, "chars"), true, true);
  }
  if (name == "length" || name == "count") return length_of(evaluator, a, value);
  if (name == "tojson") return json_of(evaluator, a, value);
  if (name == "upper") return with_case(text(), true);
  if (name == "lower") return with_case(text(), false);
  if (name == "capitalize") return capitalized(text());
  if (name == "replace") return replaced(evaluator, a, text());
  if (name == "string") return text();
  if (name == "safe") return value;
  if (name == "int") return to_integer(evaluator, a, value);
  if (name == "list") return evaluator.items_of(a.at, value);
  if (name == "join") return joined(evaluator, a, value);
  if (name == "first" || name == "last") {
    const List items = evaluator.items_of(a.at, value);
    if (items.empty()) return Undefined{"an item of nothing"};
    return name == "first" ? items.front() : items.back();
  }
  if (name == "default" || name == "d") {
    const Value* fallback = a.find(0, "default_value");
    const Value* also_false = a.find(1, "boolean");
    const bool replace = value.is<Undefined>() || (also_false && truthy(*also_false) && !truthy(value));
    return !replace ? value : fallback ? *fallback : Value(MarkedText());
  }
  if (name == "selectattr" || name == "rejectattr") return selected(evaluator, a, value, true, name[0] == 's');
  if (name == "select" || name == "reject") return selected(evaluator, a, value, false, name[0] == 's');
  if (name == "map") return mapped(evaluator, a, value);
  if (name == "items" && value.dict()) return items_of_dict(*value.dict());
  evaluator.fail(a.at, fmt::format("filter '{}' is not supported", printable(name)));
}

bool apply_test(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& a) {
  const auto other = [&]() -> const Value& {
    if (a.places.empty()) evaluator.fail(a.at, a.what + " needs something to compare with");
    return a.places[0];
  };
  const auto integer = [&](const Value& number) {
    const auto found = number.integer();
    if (!found) evaluator.fail(a.at, fmt::format("{} of {}", a.what, kind_of(number)));
    return *found;
  };
  const auto smaller = [&](const Value& x, const Value& y) {
    const auto result = less(x, y);
    if (!result) evaluator.fail(a.at, fmt::format("{} of {} and {}", a.what, kind_of(value), kind_of(other())));
    return *result;
  };
  if (name == "defined") return !value.is<Undefined>();
  if (name == "undefined") return value.is<Undefined>();
  if (name == "none") return value.is<None>();
  if (name == "string") return value.text();
  if (name == "number") return value.number().has_value();
  if (name == "integer") return value.is<int64_t>();
  if (name == "float") return value.is<double>();
  if (name == "boolean") return value.is<bool>();
  if (name == "true") return value.is<bool>() && truthy(value);
  if (name == "false") return value.is<bool>() && !truthy(value);
  if (name == "mapping") return value.dict() && !value.dict()->is_namespace;
  if (name == "iterable" || name == "sequence")
    return value.text() || value.list() || value.is<Undefined>() || (value.dict() && !value.dict()->is_namespace);
  if (name == "eq" || name == "equalto" || name == "==") return evaluator.same(a.at, value, other());
  if (name == "ne" || name == "!=") return !evaluator.same(a.at, value, other());
  if (name == "lt" || name == "lessthan" || name == "<") return smaller(value, other());
  if (name == "gt" || name == "greaterthan" || name == ">") return smaller(other(), value);
  if (name == "in") return evaluator.contains(a.at, other(), value);
  if (name == "odd") return integer(value) % 2 != 0;
  if (name == "even") return integer(value) % 2 == 0;
  if (name == "divisibleby") {
    const int64_t divisor = integer(other());
    if (divisor == 0) evaluator.fail(a.at, "division by zero");
    return divisor == -1 || integer(value) % divisor == 0;
  }
  evaluator.fail(a.at, fmt::format("test '{}' is not supported", printable(name)));
}

Value call_method(Evaluator& evaluator, const std::string& name, const Value& value, const Arguments& a) {
  if (value.text()) {
    const MarkedText& text = need_text(evaluator, a, value);
    if (name == "strip" || name == "lstrip" || name == "rstrip")
      return strip(text, text_argument(evaluator, a, 0, "chars"), name != "rstrip", name != "lstrip");
    if (name == "split" || name == "rsplit") return split(evaluator, a, text, name == "rsplit");
    if (name == "startswith" || name == "endswith") return starts_or_ends(evaluator, a, text, name == "endswith");
    if (name == "replace") return replaced(evaluator, a, text);
    if (name == "upper" || name == "lower") return with_case(text, name == "upper");
    if (name == "capitalize") return capitalized(text);
    if (name == "join") {
      Arguments swapped{a.at, a.what, {value}, {}};
      if (a.places.size() != 1) evaluator.fail(a.at, a.what + " needs a list");
      return joined(evaluator, swapped, a.places[0]);
    }
  }
  if (const Dict* dict = value.dict(); dict && !dict->is_namespace) {
    if (name == "items") return items_of_dict(*dict);
    if (name == "keys") return evaluator.items_of(a.at, value);
    if (name == "values") {
      List values;
      for (const auto& [key, entry] : dict->entries) values.push_back(entry);
      return values;
    }
    if (name == "get") {
      const Value* key = a.find(0, "key");
      const Value* fallback = a.find(1, "default");
      if (!key || !key->text()) evaluator.fail(a.at, a.what + " needs a text");
      const Value* found = dict->find(key->text()->bytes());
      return found ? *found : fallback ? *fallback : Value(None{});
    }
  }
  evaluator.fail(a.at, fmt::format("method '{}' of {} is not supported", printable(name), kind_of(value)));
}

}  // namespace sluice::jinja
