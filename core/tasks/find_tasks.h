// The task files in the folders that are searched, by name.
#pragma once

#include <string_view>
#include <vector>

#include "core/tasks/task_file.h"

namespace sluice {

std::vector<TaskFile> read_task_files(const TaskOptions& options, Mistakes& mistakes);
// The name is that of one of the task's groups or subtasks.
bool has_part(const TaskFile& task, std::string_view name);

}  // namespace sluice
