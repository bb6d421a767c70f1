// --fail-if 'kld>0.05': bounds on figures of a comparison's rows, for scripts that watch a policy.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/report/result.h"

namespace sluice {

struct Gate {
  std::string text;  // as given
  std::string field;
  bool greater = false;  // fails above the limit, not below it
  double limit = 0;
};

// Throws Error for what is no gate, and for one that no row could fail, such as 'same_top>1'.
std::vector<Gate> parse_gates(std::span<const std::string> texts);

// Prints the rows that do not pass to stderr; a figure that is not known does not. kExitOk or kExitGate.
int judge(std::span<const Gate> gates, std::span<const PolicyResult> rows);

}  // namespace sluice
