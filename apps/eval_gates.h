// --fail-if for evaluations: which figures of a row it may name, and how rows are judged.
#pragma once

#include "apps/gates.h"
#include "core/harness/tables.h"

namespace sluice {

std::vector<Gate> parse_eval_gates(std::span<const std::string> texts);
bool compares(const Gate& gate);        // its figure is one against a baseline
bool needs_fidelity(const Gate& gate);  // its figure is only there with --fidelity
bool is_metric(const Gate& gate);       // its figure is a task's metric
// Whether some row may have the figure: rows of this kind, whose metrics count right answers or do not.
bool applies(const Gate& gate, bool generates, bool counts);
bool any_row_has(const Gate& gate, std::span<const EvalRow> rows);
// All rows of tasks that were asked for, each metric by itself. `who` stands before the task in messages.
int judge(std::span<const Gate> gates, const std::string& who, std::span<const EvalRow> rows);

}  // namespace sluice
