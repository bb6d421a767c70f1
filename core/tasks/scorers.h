// Named scorers: the ways of reading an answer that are not one expression, as `scorer` of a filter has them. GEAR's
// evaluation is three of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ScorerResult {
  std::string prediction;  // "[invalid]" if there is none
  bool right = false;
};

std::vector<std::string_view> scorers();
// `text` is cut at the task's stops. `subtask` is the short name ("snarks").
ScorerResult run_scorer(std::string_view name, std::string_view text, std::string_view target,
                        std::string_view subtask);

}  // namespace sluice
