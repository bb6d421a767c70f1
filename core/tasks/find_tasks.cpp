// Which tasks there are and where; see task.h. Loads no data.
#include "core/tasks/find_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {

namespace fs = std::filesystem;

std::vector<fs::path> task_folders() {
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("SLUICE_TASKS"); named && *named)
    for (const std::string_view one : split(named, ':'))
      if (!one.empty()) folders.emplace_back(one);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share" / "sluice" / "configs" / "tasks");
  return folders;
}

std::vector<TaskFile> read_task_files(const TaskOptions& options, Mistakes& mistakes) {
  std::vector<fs::path> folders = options.tasks;
  for (fs::path& folder : task_folders()) folders.push_back(std::move(folder));
  std::map<std::string, fs::path> files;  // by name; the first folder wins
  for (const fs::path& folder : folders) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().extension() == ".toml") files.emplace(entry->path().stem().string(), entry->path());
  }
  std::vector<TaskFile> result;
  for (const auto& [name, file] : files) {
    TaskFile task = read_task_file(file, mistakes);
    if (!task.name.empty() && task.name != name)
      mistakes.add({file.string()}, fmt::format("the task is called \"{}\"; its file should be {}.toml",
                                                printable(task.name), printable(task.name)));
    result.push_back(std::move(task));
  }
  return result;
}

std::vector<TaskListing> list_tasks(const TaskOptions& options) {
  Mistakes mistakes;
  std::vector<TaskListing> result;
  for (const TaskFile& task : read_task_files(options, mistakes)) {
    TaskListing& listing = result.emplace_back();
    listing = {task.name, task.about, task.protocol, task.version, task.unverified, task.kind, task.file, {}, {}};
    for (const auto& [group, members] : task.groups) {
      if (!group.empty()) listing.groups.push_back(group);
      for (const std::string& member : members)
        if (!member.empty()) listing.subtasks.push_back(task.subtask_prefix + member);
    }
  }
  mistakes.raise();
  return result;
}

bool has_part(const TaskFile& task, std::string_view name) {
  for (const auto& [group, members] : task.groups) {
    if (!group.empty() && group == name) return true;
    for (const std::string& member : members)
      if (!member.empty() && task.subtask_prefix + member == name) return true;
  }
  return false;
}

}  // namespace sluice
