// See scorers.h. Each is written after what the published evaluation scripts of GEAR do with a text, oddities included.
#include "core/tasks/scorers.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/text.h"
#include "core/tasks/python_regex.h"
#include "core/tasks/python_text.h"

namespace sluice {
namespace {

constexpr std::string_view kInvalid = "[invalid]";

// The last number of either text, commas deleted, compared as floating point.
ScorerResult gear_gsm8k(std::string_view text, std::string_view target, std::string_view) {
  static const PythonRegex number(R"(\d*\.?\d+)");
  const auto last = [&](std::string_view from) {
    const auto found = number.find_all(python_replace(from, ",", ""));
    return found.empty() ? std::string() : found.back()[0];
  };
  const std::string predicted = last(text);
  if (predicted.empty()) return {std::string(kInvalid), false};
  return {predicted, python_float(predicted) == python_float(last(target))};
}

// The letter after "the answer is (", in either case, within the lines up to the first that holds "answer is".
ScorerResult gear_mmlu(std::string_view text, std::string_view target, std::string_view) {
  if (const size_t at = text.find("answer is"); at != std::string_view::npos)
    text = text.substr(0, text.find('\n', at));
  const std::string lower = python_lower(text);
  constexpr std::string_view kOpen = "the answer is (";
  const size_t open = lower.find(kOpen);
  if (open == std::string::npos) return {std::string(kInvalid), false};
  const std::string_view rest = std::string_view(lower).substr(open + kOpen.size());
  // What lies between it and a second "the answer is (" is all that is looked at.
  const std::string_view answer = whole_characters(rest.substr(0, rest.find(kOpen)), 4);
  if (answer.empty()) return {std::string(kInvalid), false};
  size_t length = 1;
  while (length < answer.size() && (static_cast<unsigned char>(answer[length]) & 0xC0) == 0x80) ++length;
  const std::string letter(answer.substr(0, length));
  return {letter, letter == python_lower(target)};
}

// Big-Bench Hard's tasks whose answers are words; the others' are letters in parentheses.
constexpr std::array<std::string_view, 10> kFreeForm = {
    "multistep_arithmetic_two", "navigate",        "dyck_languages",   "word_sorting",     "sports_understanding",
    "boolean_expressions",      "object_counting", "formal_fallacies", "causal_judgement", "web_of_lies"};

// What follows the last "answer is ": all of it without a full stop, or the first letter in parentheses. Without those
// words the whole text is the answer.
ScorerResult gear_bbh(std::string_view text, std::string_view target, std::string_view subtask) {
  const bool letters = std::find(kFreeForm.begin(), kFreeForm.end(), subtask) == kFreeForm.end();
  const std::string gold(letters ? target.substr(std::min<size_t>(1, target.size()), 1) : target);
  constexpr std::string_view kWords = "answer is ";
  const size_t at = text.rfind(kWords);
  if (at == std::string_view::npos) return {std::string(text), text == gold};
  std::string_view answer = python_strip(text.substr(at + kWords.size()));
  if (!letters) {
    if (answer.ends_with('.')) answer.remove_suffix(1);
    return {std::string(answer), answer == gold};
  }
  if (answer.size() > 3 && answer[0] == '(' && answer[2] == ')') {
    answer = answer.substr(1, 1);
  } else {
    for (char letter = 'A'; letter <= 'Z'; ++letter) {
      const std::array<char, 3> option = {'(', letter, ')'};
      const size_t found = answer.find(std::string_view(option.data(), option.size()));
      if (found == std::string_view::npos) continue;
      answer = answer.substr(found + 1, 1);
      break;
    }
  }
  return {std::string(answer), answer == gold};
}

struct Scorer {
  std::string_view name;
  ScorerResult (*run)(std::string_view text, std::string_view target, std::string_view subtask);
};
constexpr std::array<Scorer, 3> kScorers = {
    {{"gear_gsm8k", gear_gsm8k}, {"gear_mmlu", gear_mmlu}, {"gear_bbh", gear_bbh}}};

}  // namespace

std::vector<std::string_view> scorers() {
  std::vector<std::string_view> names;
  for (const Scorer& one : kScorers) names.push_back(one.name);
  return names;
}

ScorerResult run_scorer(std::string_view name, std::string_view text, std::string_view target,
                        std::string_view subtask) {
  for (const Scorer& one : kScorers)
    if (one.name == name) return one.run(text, target, subtask);
  return {std::string(kInvalid), false};
}

}  // namespace sluice
