// Some of a task's documents, drawn at random so that every subtask, and each of its parts, has its share of them.
#pragma once

#include <cstdint>

#include "core/tasks/task.h"

namespace sluice {

// Leaves `count` documents of the task, or all if it has no more: of each subtask, or part of one (parts.h), as many as
// its size calls for (by largest remainders, first come first served), drawn without replacement and kept in their
// order. Such a draw depends on the seed, its name, its size and how many are drawn. Subtasks that are left with none
// go.
void draw_documents(Task& task, uint32_t count, uint64_t seed);

}  // namespace sluice
