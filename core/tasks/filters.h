// What the harness takes for an answer in a text, and when it takes an answer for right: its filters and its
// exact_match, quirks included (docs/evaluation.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tasks/task_file.h"

namespace sluice {

// RegexFilter: findall, one of the matches, its first group that is not empty, stripped; the fallback if there is none.
std::string regex_answer(const FilterSpec& filter, std::string_view text);
// MultiChoiceRegexFilter: the same; failing that a choice's own words, failing that a letter after a colon. `choices`
// are the record's.
std::string multiple_choice_answer(const FilterSpec& filter, std::string_view text,
                                   const std::vector<std::string>& choices);

// exact_match of one prediction and one reference.
bool exact_match(const MetricSpec& metric, std::string_view prediction, std::string_view reference);
// Equal as numbers, what `ignore` says deleted from both.
bool same_number(const MetricSpec& metric, std::string_view prediction, std::string_view reference);

}  // namespace sluice
