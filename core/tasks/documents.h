// A task file and its data become documents: records are read and prepared, shots chosen, prompts put together.
#pragma once

#include "core/tasks/task_file.h"

namespace sluice {

// The subtasks called `part` (a group or a subtask; empty: all). Mistakes are added, and what could be made returned.
std::vector<Subtask> make_subtasks(const TaskFile& task, std::string_view part, const TaskOptions& options,
                                   Mistakes& mistakes);
// Where data lies: the options' folder, $SLUICE_DATA, ~/.cache/sluice/data.
std::filesystem::path data_folder(const TaskOptions& options);

}  // namespace sluice
