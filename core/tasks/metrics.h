// The metrics that a task can name, as the harness calls them.
#pragma once

#include <span>
#include <string_view>

#include "core/tasks/task.h"

namespace sluice {

// Of one kind of task, in the order in which results show them.
std::span<const std::string_view> metrics_of(TaskKind kind);
// Computed from sums of log-likelihoods, and better when smaller; all others are 0 or 1 for each question.
bool is_perplexity(std::string_view metric);

}  // namespace sluice
