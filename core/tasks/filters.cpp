// See filters.h.
#include "core/tasks/filters.h"

#include <algorithm>
#include <map>

#include "core/base/text.h"
#include "core/tasks/python_text.h"

namespace sluice {
namespace {

using Matches = std::vector<std::vector<std::string>>;

// The match that `select` means, as a Python list is indexed; null beyond either end.
const std::vector<std::string>* selected(const Matches& matches, int64_t select) {
  const int64_t index = select < 0 ? int64_t(matches.size()) + select : select;
  return index < 0 || index >= int64_t(matches.size()) ? nullptr : &matches[size_t(index)];
}

// One group is taken as it is, of several the first that holds something; false if none does.
bool group_of(const std::vector<std::string>& match, std::string& text) {
  if (match.size() == 1) {
    text = match[0];
    return true;
  }
  for (const std::string& group : match) {
    if (group.empty()) continue;
    text = group;
    return true;
  }
  return false;
}

// Python's re.escape puts a backslash before these, and the harness sorts by the length of what it makes.
size_t escaped_length(std::string_view text) {
  constexpr std::string_view kSpecial = "()[]{}?*+-|^$\\.&~# \t\n\r\v\f";
  return python_length(text) +
         size_t(std::count_if(text.begin(), text.end(), [&](char c) { return kSpecial.find(c) != kSpecial.npos; }));
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (c > ' ' && c < 0x7F && !alphanumeric) result += '\\';
    result += c;
  }
  return result;
}

// The last or first match, stripped, by what it stands for in `meaning`; empty if there is none.
std::string meant(const PythonRegex& regex, std::string_view text, int64_t select,
                  const std::map<std::string, std::string>& meaning) {
  const Matches matches = regex.find_all(text);
  std::string answer;
  const auto* match = selected(matches, select);
  if (!match || !group_of(*match, answer)) return {};
  answer = std::string(python_strip(answer));
  const auto found = meaning.find(answer);
  return answer.empty() || found == meaning.end() ? answer : found->second;
}

// As NumPy holds a string: without NULs at its end.
std::string_view held(std::string_view text) {
  while (text.ends_with('\0')) text.remove_suffix(1);
  return text;
}

std::string reduced(const MetricSpec& metric, std::string_view from) {
  std::string text(held(from));
  for (const PythonRegex& regex : metric.ignore) text = std::string(held(regex.replace(text, "")));
  if (metric.ignore_case) {
    // NumPy keeps the width of what it lowers, so what grows loses its end.
    const size_t width = python_length(text);
    text = python_lower(text);
    while (python_length(text) > width) {
      do text.pop_back();
      while (!valid_utf8(text));
    }
  }
  if (metric.ignore_punctuation) text = without_ascii_punctuation(text);
  return text;
}

}  // namespace

std::string regex_answer(const FilterSpec& filter, std::string_view text) {
  const Matches matches = filter.regex->find_all(text);
  const auto* match = selected(matches, filter.select);
  std::string answer;
  if (!match || !group_of(*match, answer)) return std::string(python_strip(filter.fallback));
  return std::string(python_strip(answer));
}

std::string multiple_choice_answer(const FilterSpec& filter, std::string_view text,
                                   const std::vector<std::string>& choices) {
  if (const std::string answer = meant(*filter.regex, text, filter.select, {}); !answer.empty()) return answer;
  const auto folded = [&](std::string_view words) {
    std::string result = filter.ignore_case ? python_lower(words) : std::string(words);
    return filter.ignore_punctuation ? without_unicode_punctuation(result) : result;
  };
  std::vector<std::string> words, letters;
  std::map<std::string, std::string> by_words, by_letter;
  for (size_t i = 0; i < choices.size(); ++i) {
    const std::string letter(1, char('A' + i));
    words.push_back(folded(python_strip(choices[i])));
    by_words[words.back()] = "(" + letter + ")";
    letters.push_back(letter);
    by_letter[letter] = "(" + letter + ")";
  }
  // Alternatives are tried in order, so a choice that begins another must come after it.
  std::stable_sort(words.begin(), words.end(),
                   [](const std::string& a, const std::string& b) { return escaped_length(a) > escaped_length(b); });
  for (std::string& one : words) one = escaped(one);
  if (const std::string answer = meant(PythonRegex(join(words, "|")), folded(text), filter.select, by_words);
      !answer.empty())
    return answer;
  const PythonRegex after_colon(":[\\s]*(" + join(letters, "|") + ")");
  if (const std::string answer = meant(after_colon, text, filter.select, by_letter); !answer.empty()) return answer;
  return filter.fallback;
}

bool exact_match(const MetricSpec& metric, std::string_view prediction, std::string_view reference) {
  return reduced(metric, prediction) == reduced(metric, reference);
}

bool same_number(const MetricSpec& metric, std::string_view prediction, std::string_view reference) {
  return python_float(reduced(metric, prediction)) == python_float(reduced(metric, reference));
}

}  // namespace sluice
