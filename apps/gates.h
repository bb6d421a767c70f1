// --fail-if 'kld>0.05': bounds on figures of a result's rows, for scripts that watch a policy.
#pragma once

#include <limits>
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

// A figure that rows have, and what it can be.
struct GateField {
  std::string name;
  double lowest = 0, highest = std::numeric_limits<double>::infinity();
};

// Throws Error for what is no gate, and for one that no row could fail, such as 'same_top>1'.
std::vector<Gate> parse_gates(std::span<const std::string> texts, std::span<const GateField> fields);
// Whether a row of that name passes; if not, stderr says so. A figure that is not known does not.
bool passes(const Gate& gate, const std::string& row, double value);

// Those of compare and ppl.
std::vector<Gate> parse_gates(std::span<const std::string> texts);
int judge(std::span<const Gate> gates, std::span<const PolicyResult> rows);  // kExitOk or kExitGate

}  // namespace sluice
