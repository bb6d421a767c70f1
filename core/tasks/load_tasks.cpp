// Tasks by name; see task.h. Documents are made in documents.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tasks/documents.h"
#include "core/tasks/find_tasks.h"

namespace sluice {
namespace {

bool is_path(const std::string& name) { return name.ends_with(".toml") || name.find('/') != std::string::npos; }

std::vector<std::string> metric_keys(const TaskFile& file) {
  std::vector<std::string> keys;
  if (file.kind == TaskKind::kGenerate) {
    for (const FilterSpec& filter : file.filters) keys.push_back(filter.metric.names[0] + "," + filter.name);
  } else {
    for (const std::string& name : file.metric.names) keys.push_back(name + ",none");
  }
  return keys;
}

Task make_task(TaskFile file, std::string_view part, const TaskOptions& of_all, Mistakes& mistakes) {
  Task task;
  task.name = part.empty() ? file.name : std::string(part);
  TaskOptions options = of_all;
  for (const std::string& name : {file.name, task.name})  // what is said of a part outdoes what is said of the task
    if (const auto own = of_all.task_shots.find(name); own != of_all.task_shots.end()) options.shots = own->second;
  task.subtasks = make_subtasks(file, part, options, mistakes);
  task.about = file.about;
  task.protocol = file.protocol;
  task.version = file.version, task.group_version = file.group_version;
  task.unverified = file.unverified;
  task.kind = file.kind;
  task.shots = options.shots.value_or(file.shots.count);
  task.stops = file.stops;
  task.stop_at_start = file.stop_at_start;
  task.max_tokens = file.max_tokens;
  task.metrics = metric_keys(file);
  task.weight_by_size = file.weight_by_size;
  task.file = std::make_shared<const TaskFile>(std::move(file));
  return task;
}

std::string unknown_task(const std::string& name, const std::vector<TaskFile>& files) {
  std::vector<std::string> names, all;
  for (const TaskFile& file : files) {
    names.push_back(file.name);
    all.push_back(file.name);
    for (const auto& [group, members] : file.groups) {
      if (!group.empty()) all.push_back(group);
      for (const std::string& member : members)
        if (!member.empty()) all.push_back(file.subtask_prefix + member);
    }
  }
  if (names.empty()) {
    std::vector<std::string> folders;
    for (const std::filesystem::path& folder : task_folders()) folders.push_back(printable(folder.string(), 500));
    return fmt::format("there is no task \"{}\", nor any other; looked in {}", printable(name), join(folders));
  }
  return fmt::format("there is no task \"{}\"{}; tasks: {}; and their groups and subtasks", printable(name),
                     did_you_mean(name, all), join(names));
}

}  // namespace

std::vector<Task> load_tasks(std::span<const std::string> names, const TaskOptions& options) {
  Mistakes mistakes, of_files;
  std::vector<Task> tasks;
  std::vector<TaskFile> files;
  if (!std::all_of(names.begin(), names.end(), is_path)) files = read_task_files(options, of_files);
  of_files.raise();
  for (const std::string& name : names) {
    if (is_path(name)) {
      Mistakes own;
      TaskFile file = read_task_file(name, own);
      own.raise();
      tasks.push_back(make_task(std::move(file), {}, options, mistakes));
      continue;
    }
    const auto whole =
        std::find_if(files.begin(), files.end(), [&](const TaskFile& file) { return file.name == name; });
    const auto part =
        std::find_if(files.begin(), files.end(), [&](const TaskFile& file) { return has_part(file, name); });
    if (whole != files.end()) {
      tasks.push_back(make_task(*whole, {}, options, mistakes));
    } else if (part != files.end()) {
      tasks.push_back(make_task(*part, name, options, mistakes));
    } else {
      mistakes.add({}, unknown_task(name, files));
    }
  }
  mistakes.raise();
  return tasks;
}

Task load_task(const std::string& name, const TaskOptions& options) {
  return std::move(load_tasks(std::span(&name, 1), options)[0]);
}

}  // namespace sluice
