// See eval_tasks.h.
#include "apps/eval_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/json_file.h"
#include "core/base/text.h"
#include "core/harness/questions.h"
#include "core/tasks/draw.h"
#include "core/tasks/task_file.h"

namespace sluice {
namespace {

using Samples = std::map<std::string, std::vector<uint32_t>>;  // by task or subtask; "" is for all

std::vector<uint32_t> indices(const nlohmann::json& list, const std::string& where) {
  std::vector<uint32_t> ids;
  if (!list.is_array() || list.empty()) throw Error(fmt::format("{}: takes a list of question numbers", where));
  for (const nlohmann::json& one : list) {
    if (!one.is_number_unsigned() || one.get<uint64_t>() > UINT32_MAX)
      throw Error(fmt::format("{}: {} is no number of a question; they count from 0", where, printable(one.dump())));
    ids.push_back(one.get<uint32_t>());
  }
  return ids;
}

// {"gsm8k_cot": [0, 7, 12]} as lm-eval takes it, or a list for all tasks.
Samples read_samples(const std::string& file) {
  constexpr uint64_t kMost = uint64_t(64) << 20;
  const nlohmann::json json = read_json_file(file, kMost, 8);
  Samples samples;
  if (json.is_array()) {
    samples[""] = indices(json, file);
  } else if (json.is_object()) {
    for (const auto& [name, list] : json.items()) samples[name] = indices(list, fmt::format("{}: \"{}\"", file, name));
  } else {
    throw Error(fmt::format("{}: takes a table of lists, as in {{\"gsm8k_cot\": [0, 7]}}, or a list", file));
  }
  return samples;
}

// What load_task() finds this subtask by; a task without subtasks may be a file that no folder has.
std::string reload_name(const Task& task, const Subtask& subtask) {
  return subtask.short_name.empty() ? task.file->file.string() : subtask.name;
}

// Replaces the documents of what the file names.
void take_samples(std::vector<Task>& tasks, const Samples& samples, const TaskOptions& options,
                  const std::string& file) {
  std::vector<std::string> known;
  for (Task& task : tasks) {
    known.push_back(task.name);
    for (Subtask& subtask : task.subtasks) {
      known.push_back(subtask.name);
      auto found = samples.find(subtask.name);
      if (found == samples.end()) found = samples.find(task.name);
      if (found == samples.end()) continue;
      TaskOptions own = options;
      own.samples = found->second;
      own.shots = task.shots, own.task_shots.clear();  // which may be by the name of a group
      subtask = std::move(load_task(reload_name(task, subtask), own).subtasks.at(0));
    }
  }
  for (const auto& [name, ids] : samples)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(fmt::format("{}: \"{}\" is not among the tasks of this run{}", file, printable(name),
                              did_you_mean(name, known)));
}

std::vector<std::string> task_names(const Words& words, const EvalConfig& eval) {
  std::vector<std::string> names;
  for (const std::string& list : words.list("tasks"))
    for (const std::string_view name : split(list, ',')) {
      if (name.empty())
        throw Error(
            fmt::format("eval: --tasks \"{}\" has an empty name; write it like gsm8k_cot,mmlu", printable(list)));
      names.emplace_back(name);
    }
  if (names.empty()) names = eval.tasks;
  if (names.empty())
    throw Error("eval: needs --tasks, or tasks in [eval] of the configuration; `sluice eval --list` shows them");
  std::vector<std::string> unique;
  for (std::string& name : names)
    if (std::find(unique.begin(), unique.end(), name) == unique.end()) unique.push_back(std::move(name));
  return unique;
}

// Under gear's protocol "gsm8k" means gear_gsm8k.
void use_gear(std::vector<std::string>& names, const TaskOptions& options, const EvalConfig& eval) {
  std::vector<std::string> gear;
  for (const TaskListing& task : list_tasks(options)) {
    if (task.protocol != "gear") continue;
    gear.push_back(task.name);
    gear.insert(gear.end(), task.groups.begin(), task.groups.end());
    gear.insert(gear.end(), task.subtasks.begin(), task.subtasks.end());
  }
  const auto is_gear = [&](const std::string& name) { return std::find(gear.begin(), gear.end(), name) != gear.end(); };
  for (std::string& name : names) {
    if (is_gear(name) || name.ends_with(".toml")) continue;
    if (!is_gear("gear_" + name))
      throw Error(fmt::format("{}: protocol is \"gear\", which has no task \"{}\"{}", eval.place.text, printable(name),
                              did_you_mean("gear_" + name, gear)));
    name = "gear_" + name;
  }
}

// N questions, or as the harness has it a share of them.
void set_limit(const Words& words, TaskOptions& options) {
  const double limit = words.number("limit", 0, 0, UINT32_MAX);
  if (limit > 0 && limit < 1)
    options.limit_share = limit;
  else if (limit >= 1 && limit == std::floor(limit))
    options.limit = uint32_t(limit);
  else
    throw Error(fmt::format("eval: --limit {} is neither a number of questions nor a share above 0 and below 1",
                            words.text("limit")));
}

// A list as in 0,0.5,1; empty without the option.
std::vector<double> numbers(const Words& words, const char* option, double low, double high) {
  std::vector<double> list;
  if (!words.has(option)) return list;
  const std::string given = words.text(option);
  for (const std::string_view part : split(given, ',')) {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size() || !(value >= low && value <= high))
      throw Error(fmt::format("eval: --{} takes numbers from {} to {} with commas between them, not \"{}\"", option,
                              low, high, printable(given)));
    list.push_back(value);
  }
  return list;
}

// "3" for all tasks, "gsm8k_cot=3" for one, or several of these with commas between them.
void set_shots(const Words& words, TaskOptions& options) {
  if (!words.has("shots")) return;
  const std::string given = words.text("shots");
  for (const std::string_view part : split(given, ',')) {
    const size_t equals = part.find('=');
    const std::string_view number = equals == part.npos ? part : part.substr(equals + 1);
    uint32_t count = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
    const bool good = !number.empty() && error == std::errc() && end == number.data() + number.size() && count <= 1000;
    if (!good || equals == 0)
      throw Error(fmt::format("eval: --shots takes a number of examples up to 1000, or TASK=N,..., not \"{}\"",
                              printable(given)));
    if (equals == part.npos)
      options.shots = count;
    else
      options.task_shots[std::string(part.substr(0, equals))] = count;
  }
}

// An option that no task heeds would be a misunderstanding.
void check_options(const Words& words, const ChosenTasks& chosen) {
  std::vector<std::string> names;
  bool passkey = false;
  for (const Task& task : chosen.tasks) {
    passkey |= task.file->data.reader == "passkey";
    names.push_back(task.name);
    if (task.file->name != task.name) names.push_back(task.file->name);
  }
  for (const auto& [name, count] : chosen.options.task_shots)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(fmt::format("eval: --shots {}={}: \"{}\" is not among the tasks of this run{}", printable(name),
                              count, printable(name), did_you_mean(name, names)));
  for (const char* option : {"passkey-words", "passkey-depths"})
    if (words.has(option) && !passkey)
      throw Error(fmt::format("eval: --{} is the passkey task's, which is not among those of this run: {}", option,
                              join(names)));
}

std::string parts_list(std::span<const std::string> lists, Format format) {
  Table table{"parts", {{"task", "task", false}, {"part", "group or subtask", false}}, {}};
  const std::vector<TaskListing> tasks = list_tasks({});
  for (const std::string& list : lists)
    for (const std::string_view name : split(list, ',')) {
      const auto task = std::find_if(tasks.begin(), tasks.end(), [&](const TaskListing& t) { return t.name == name; });
      if (task == tasks.end()) {
        std::vector<std::string> known;
        for (const TaskListing& t : tasks) known.push_back(t.name);
        throw Error(fmt::format("eval: --list knows no task \"{}\"{}", printable(name),
                                did_you_mean(std::string(name), known)));
      }
      for (const std::string& group : task->groups) table.rows.push_back({task->name, group});
      for (const std::string& subtask : task->subtasks) table.rows.push_back({task->name, subtask});
      if (task->groups.empty() && task->subtasks.empty()) table.rows.push_back({task->name, Cell()});
    }
  return write_table(table, format);
}

bool same(const EvalConfig& a, const EvalConfig& b) {
  return a.tasks == b.tasks && a.protocol == b.protocol && a.data == b.data && a.limit == b.limit &&
         a.batch == b.batch && a.score_window == b.score_window;
}

}  // namespace

EvalConfig shared_eval(std::span<const Config> configs) {
  const EvalConfig* first = nullptr;
  for (const Config& config : configs) {
    const EvalConfig& eval = config.eval;
    if (eval.place.text.empty()) continue;
    if (first && !same(*first, eval))
      throw Error(fmt::format("{}: [eval] differs from that at {}: the configurations of one run are asked the same",
                              eval.place.text, first->place.text));
    if (!first) first = &eval;
  }
  return first ? *first : EvalConfig{};
}

ChosenTasks choose_tasks(const Words& words, const EvalConfig& eval) {
  ChosenTasks chosen;
  TaskOptions& options = chosen.options;
  options.data = words.has("data") ? std::filesystem::path(words.text("data")) : eval.data;
  const bool draws = words.has("draw");
  if (int(words.has("limit")) + int(words.has("samples")) + int(draws) > 1)
    throw Error("eval: --limit, --samples and --draw exclude each other: each says which questions are asked");
  if (words.has("seed") && !draws) throw Error("eval: --seed belongs to --draw");
  if (draws) chosen.draw = uint32_t(words.integer("draw", 0, 1, UINT32_MAX));
  chosen.draw_seed = uint64_t(words.integer("seed", 1234, 0, INT64_MAX));
  if (words.has("limit"))
    set_limit(words, options);
  else if (eval.limit > 0 && !words.has("samples") && !draws)
    options.limit = eval.limit;
  for (const double n : numbers(words, "passkey-words", 1, 1 << 20)) options.passkey_words.push_back(uint32_t(n));
  options.passkey_depths = numbers(words, "passkey-depths", 0, 1);
  set_shots(words, options);
  std::vector<std::string> names = task_names(words, eval);
  if (eval.protocol == "gear") use_gear(names, options, eval);
  Samples samples;
  if (words.has("samples")) samples = read_samples(words.text("samples"));
  if (const auto all = samples.find(""); all != samples.end()) options.samples = all->second;
  chosen.tasks = load_tasks(names, options);
  check_options(words, chosen);
  samples.erase("");
  take_samples(chosen.tasks, samples, options, words.text("samples"));
  const auto longest = uint32_t(words.integer("max-tokens", UINT32_MAX, 1, UINT32_MAX));
  for (Task& task : chosen.tasks) {
    if (chosen.draw) draw_documents(task, *chosen.draw, chosen.draw_seed);
    task.max_tokens = std::min(task.max_tokens, longest);
  }
  return chosen;
}

std::string shots_that_fit(const Task& task, const Subtask& subtask, const TaskOptions& options,
                           const Tokenizer& tokenizer, uint32_t context) {
  constexpr const char* kNone = "none of the examples before it can be left out";
  if (task.shots == 0) return kNone;
  TaskOptions fewer = options;
  fewer.samples.clear(), fewer.limit.reset(), fewer.limit_share.reset(), fewer.task_shots.clear();
  for (const Document& document : subtask.documents) fewer.samples.push_back(document.id);
  const std::string name = reload_name(task, subtask);
  const auto shorter = [](const Document& a, const Document& b) { return a.prompt.size() < b.prompt.size(); };
  for (uint32_t shots = task.shots; shots-- > 0;) {
    fewer.shots = shots;
    try {
      const Task reduced = load_task(name, fewer);
      const std::vector<Document>& documents = reduced.subtasks.at(0).documents;
      const Document& shortest = *std::min_element(documents.begin(), documents.end(), shorter);
      if (document_tokens(reduced, shortest, tokenizer) <= context)
        return fmt::format("show fewer examples ({} of its {} fit: --shots {})", shots, task.shots, shots);
    } catch (const Error&) {
      return kNone;  // a published prompt is one piece
    }
  }
  return "no number of examples fits";
}

std::string task_list(std::span<const std::string> names, Format format) {
  if (!names.empty()) return parts_list(names, format);
  Table table{"tasks",
              {{"task", "task", false},
               {"about", "about", false},
               {"protocol", "protocol", false},
               {"version", "version", false},
               {"subtasks", "subtasks"},
               {"groups", "groups", false},
               {"unverified", "unverified", false}},
              {}};
  for (const TaskListing& task : list_tasks({})) {
    const bool parts = task.subtasks.size() > 1;
    table.rows.push_back({task.name, task.about, task.protocol, task.version,
                          parts ? Cell(uint64_t(task.subtasks.size())) : Cell(), join(task.groups),
                          task.unverified.empty() ? Cell() : Cell(task.unverified)});
  }
  return write_table(table, format);
}

}  // namespace sluice
