// See template_text.h.
#include "core/tasks/template_text.h"

#include <fmt/format.h>

#include <charconv>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tasks/python_text.h"

namespace sluice {
namespace {

constexpr std::string_view kFilters[] = {"strip", "lower", "capitalize", "spaces", "after"};

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool field_name(std::string_view name) {
  if (name.empty()) return false;
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

std::vector<std::string> names_of(const nlohmann::ordered_json& fields) {
  std::vector<std::string> names;
  if (fields.is_object())
    for (const auto& [name, value] : fields.items()) names.push_back(printable(name));
  return names;
}

}  // namespace

TextTemplate::TextTemplate(std::string_view text) {
  while (!text.empty()) {
    const size_t open = text.find("{{");
    if (open != 0) parts_.push_back({std::string(text.substr(0, open)), {}, {}});
    if (open == std::string_view::npos) return;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos)
      throw Error(fmt::format("\"{}\" has no closing \"}}}}\"", printable(text.substr(open), 40)));
    parts_.push_back(placeholder(text.substr(open + 2, close - open - 2)));
    text.remove_prefix(close + 2);
  }
}

TextTemplate::Part TextTemplate::placeholder(std::string_view inside) {
  Part part{std::string(trimmed(inside)), {}, {}};
  const auto wrong = [&](const std::string& what) {
    return Error(fmt::format("{{{{{}}}}}: {}", printable(part.text), what));
  };
  std::vector<std::string_view> words = split(inside, '|');
  // The path: names separated by dots, each with [NUMBER]s.
  for (std::string_view name : split(trimmed(words[0]), '.')) {
    const size_t bracket = std::min(name.find('['), name.size());
    std::string_view rest = name.substr(bracket);
    name = name.substr(0, bracket);
    if (!field_name(name)) throw wrong("a placeholder begins with a field's name, such as {{question}}");
    part.path.push_back({std::string(name), -1});
    while (!rest.empty()) {
      int index = -1;
      const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), index);
      if (rest[0] != '[' || error != std::errc() || index < 0 || end == rest.data() + rest.size() || *end != ']')
        throw wrong("an element of a list is written as choices[0]");
      part.path.push_back({{}, index});
      rest.remove_prefix(size_t(end - rest.data()) + 1);
    }
  }
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = trimmed(words[i]);
    if (word == "strip") {
      part.steps.push_back({Step::kStrip});
    } else if (word == "lower") {
      part.steps.push_back({Step::kLower});
    } else if (word == "capitalize") {
      part.steps.push_back({Step::kCapitalize});
    } else if (word == "spaces") {
      part.steps.push_back({Step::kSpaces});
    } else if (word.size() > 9 && word.starts_with("after('") && word.ends_with("')")) {
      part.steps.push_back({Step::kAfter, std::string(word.substr(7, word.size() - 9))});
    } else {
      throw wrong(fmt::format("there is no filter \"{}\"{}; filters: strip, lower, capitalize, spaces, after('TEXT')",
                              printable(word), did_you_mean(word.substr(0, word.find('(')), kFilters)));
    }
  }
  return part;
}

bool TextTemplate::constant() const {
  for (const Part& part : parts_)
    if (!part.path.empty()) return false;
  return true;
}

std::string TextTemplate::render(const nlohmann::ordered_json& fields) const {
  std::string result;
  for (const Part& part : parts_) {
    if (part.path.empty()) {
      result += part.text;
      continue;
    }
    const nlohmann::ordered_json* value = &fields;
    for (const Access& access : part.path) {
      if (access.index >= 0) {
        if (!value->is_array() || size_t(access.index) >= value->size())
          throw MissingField{fmt::format("{{{{{}}}}} asks for element {} of {}", part.text, access.index,
                                         value->is_array() ? fmt::format("a list of {}", value->size()) : "no list")};
        value = &(*value)[size_t(access.index)];
        continue;
      }
      const std::vector<std::string> names = names_of(*value);
      if (!value->is_object() || !value->contains(access.key))
        throw MissingField{fmt::format("{{{{{}}}}}: there is no field \"{}\"{}; there are: {}", part.text, access.key,
                                       did_you_mean(access.key, names), join(names))};
      value = &(*value)[access.key];
    }
    if (value->is_structured() || value->is_null())
      throw MissingField{fmt::format("{{{{{}}}}} is {}, not text", part.text,
                                     value->is_array()  ? "a list"
                                     : value->is_null() ? "null"
                                                        : "an object")};
    std::string text = value->is_string() ? value->get<std::string>() : value->dump();
    for (const Step& step : part.steps) {
      switch (step.kind) {
        case Step::kStrip:
          text = python_strip(std::string(text));
          break;
        case Step::kLower:
          text = python_lower(text);
          break;
        case Step::kCapitalize:
          text = python_capitalize(text);
          break;
        case Step::kSpaces:
          text = python_replace(text, "_", " ");
          break;
        case Step::kAfter:
          if (const size_t at = text.rfind(step.argument); at != std::string::npos)
            text.erase(0, at + step.argument.size());
          break;
      }
    }
    result += text;
  }
  return result;
}

}  // namespace sluice
