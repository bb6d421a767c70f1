// Which tasks and documents `sluice eval` asks: its options over what the configurations' [eval] says, and the list of
// all tasks.
#pragma once

#include <string>
#include <vector>

#include "apps/options.h"
#include "core/config/config.h"
#include "core/report/table.h"
#include "core/tasks/task.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice {

// [eval] of the configurations that have one. Error if they differ.
EvalConfig shared_eval(std::span<const Config> configs);

struct ChosenTasks {
  TaskOptions options;
  std::optional<uint32_t> draw;  // of each task so many, drawn with draw_seed
  uint64_t draw_seed = 0;
  std::vector<Task> tasks;
};
// Error where nothing says which tasks, and whatever load_tasks() finds wrong.
ChosenTasks choose_tasks(const Words& words, const EvalConfig& eval);
// How many of the task's examples would fit the context before its shortest document, in words: "show fewer examples (5
// of its 8 fit: --shots 5)".
std::string shots_that_fit(const Task& task, const Subtask& subtask, const TaskOptions& options,
                           const Tokenizer& tokenizer, uint32_t context);

// What `sluice eval --list` prints: all tasks, or those that `names` (lists with commas) asks for with a row for each
// of their groups and subtasks. Error if there is no such task.
std::string task_list(std::span<const std::string> names, Format format);

}  // namespace sluice
