// Evaluation tasks, for who runs them: a task by its name becomes documents (what to ask, what may be answered, where
// to stop), and what the model said becomes scores. Tasks are data, configs/tasks/*.toml; the two protocols, lm-eval's
// and GEAR's, differ in those files and in named scorers. Knows no model, tokenizer or cache.
//
//   TaskOptions options;
//   options.limit = 40;
//   for (const Task& task : load_tasks({"gsm8k_cot", "mmlu"}, options))
//     for (const Subtask& subtask : task.subtasks)
//       for (const Document& document : subtask.documents) {
//         std::string said = ...;                       // generate from document.prompt
//         for (const TaskScore& score : score_generation(task, subtask, document, said)) ...
//       }
//
// Tokens: the beginning-of-sequence token comes before the prompt, once. The model's own end-of-text string is one more
// stop than task.stops lists. `shared_prefix` is a number of bytes; whether its tokens are the first tokens of the
// whole prompt is the tokenizer's affair, and the runner compares.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

enum class TaskKind {
  kGenerate,        // text is generated, filtered and compared with the target
  kMultipleChoice,  // the log-likelihoods of the choices after the prompt are compared
  kPerplexity,      // the log-likelihood of a text
};

struct TaskOptions {
  std::filesystem::path data;                  // empty: $SLUICE_DATA, else ~/.cache/sluice/data
  std::vector<std::filesystem::path> tasks;    // folders of task files, searched first; then task_folders()
  std::optional<uint32_t> limit;               // documents of each subtask, the first ones
  std::optional<double> limit_share;           // or this share of them, above 0 and below 1, rounded up
  std::vector<uint32_t> samples;               // or these documents (ids); empty: all
  std::optional<uint32_t> shots;               // instead of the tasks' own number
  std::map<std::string, uint32_t> task_shots;  // the same of single tasks, by their name or that of a part
  uint64_t seed = 1234;                        // of shots that are drawn, and of what is made up (passkey)
  std::vector<uint32_t> passkey_words;         // instead of the task's own lengths and depths
  std::vector<double> passkey_depths;
};

struct Document {
  uint32_t id = 0;           // its index in the split, as the harness counts
  std::string prompt;        // of a perplexity task: the text itself
  size_t shared_prefix = 0;  // bytes of the prompt that all of the subtask's documents have in common: its shots
  std::vector<std::string> choices;  // multiple choice: what may follow the prompt, delimiter included
  size_t gold = 0;                   // which of them is right
  std::string target;                // generation: what is right, before filters
  nlohmann::ordered_json fields;     // the record, as prepared; for logs
  uint64_t words = 0, bytes = 0;     // perplexity: what its figures are per; those of the text as it was published
};

struct Subtask {
  std::string name;                             // "mmlu_anatomy"; of a task without subtasks the task's
  std::string short_name;                       // "anatomy"
  std::string group;                            // "mmlu_stem", or empty
  uint32_t total = 0;                           // documents there are, of which those below were chosen
  double chance = 0;                            // of guessing right, for marking floors
  std::map<std::string, uint32_t> part_totals;  // documents there are of each part (parts.h), by its name
  std::vector<Document> documents;
};

struct TaskFile;

struct Task {
  std::string name, about;
  std::string protocol;       // "lm-eval", "gear", or "sluice" for tasks of our own: stands beside every score
  std::string version;        // of the task within its protocol
  std::string group_version;  // of all its subtasks together
  std::string unverified;     // why equality with the protocol could not be checked; empty if it was
  TaskKind kind = TaskKind::kGenerate;
  uint32_t shots = 0;
  std::vector<std::string> stops;
  // A stop counts at the very beginning of what was generated; GEAR's BBH lets it pass there.
  bool stop_at_start = true;
  uint32_t max_tokens = 0;
  std::vector<std::string> metrics;  // keys as in the harness's results: "exact_match,strict-match", "acc,none"
  bool weight_by_size = true;        // a group's mean weighs subtasks by their documents
  std::vector<Subtask> subtasks;
  // The file it was made from, for scoring; shared by copies.
  std::shared_ptr<const TaskFile> file;
};

struct TaskScore {
  std::string metric;      // "exact_match"
  std::string filter;      // "strict-match"; "none" where there are none
  std::string prediction;  // what the filter left of the text; the index of a choice
  double value = 0;        // 0 or 1
  bool invalid = false;    // nothing was found in the text
  std::string key() const { return metric + "," + filter; }
};

// Folders with shipped tasks: $SLUICE_TASKS (colon separated), then share/sluice/configs/tasks beside the program.
std::vector<std::filesystem::path> task_folders();

struct TaskListing {
  std::string name, about, protocol, version, unverified;
  TaskKind kind;
  std::filesystem::path file;
  std::vector<std::string> groups, subtasks;  // full names; each can be asked for by itself
};
// All tasks, by name. Error if a file among them is wrong.
std::vector<TaskListing> list_tasks(const TaskOptions& options);

// Tasks by name, in order. A name is that of a task, of one of its groups or subtasks ("mmlu_stem", "mmlu_anatomy"), or
// the path of a TOML file. Throws one Error with a line for every mistake: names there are not, mistakes in task files,
// data that is missing (with the command that gets it) or malformed (file and line), fields that a template asks for in
// vain, fewer than two choices, more shots than there are.
std::vector<Task> load_tasks(std::span<const std::string> names, const TaskOptions& options);
Task load_task(const std::string& name, const TaskOptions& options);

// What the harness keeps of generated text: cut before the first occurrence of each stop in turn.
std::string_view cut_at_stops(const Task& task, std::string_view text);
// Generation may end: a stop string is in the text. Ask after every token; the text is all that was generated.
bool reached_stop(const Task& task, std::string_view text);
// No filter's result can change by what follows, so a run that is allowed to (`fast_stop`) may end. Never true for
// tasks that say nothing of it.
bool score_is_settled(const Task& task, std::string_view text);

// A score per filter of the task, in its order. The text is cut at the stops first.
std::vector<TaskScore> score_generation(const Task& task, const Subtask& subtask, const Document& document,
                                        std::string_view text);
// A score per metric (acc, acc_norm). One log-likelihood per choice.
std::vector<TaskScore> score_choices(const Task& task, const Document& document,
                                     std::span<const double> loglikelihoods);

}  // namespace sluice
