// A task as its TOML file describes it: types and names are checked, expressions and templates compiled, every mistake
// reported with its place. Reads no data and knows no question; task.h puts the two together.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config/mistakes.h"
#include "core/tasks/python_regex.h"
#include "core/tasks/task.h"
#include "core/tasks/template_text.h"

namespace sluice {

// A template and where it stands, for messages about records that lack its fields.
struct PlacedTemplate {
  TextTemplate text;
  Place place;
};

struct DataSpec {
  std::string reader;                           // jsonl, json, csv, text, passkey
  std::string list;                             // of json: the key of its list
  std::vector<std::string> columns;             // of csv
  std::string prepare;                          // a named preparation of records (prepare.h), or empty
  std::string split;                            // which is scored
  std::map<std::string, PlacedTemplate> files;  // per split, in the data folder; may name {{subtask}}
  PlacedTemplate labels;  // a file with an answer per line that joins the records as `label`; empty: none
  std::string get;        // what scripts/get_data.sh calls the set; empty: it has none
};

struct PromptSpec {
  PlacedTemplate description, text, target;
  std::vector<PlacedTemplate> choices;
  std::string choice_list;          // or the field that holds them
  std::vector<std::string> labels;  // what `target` may say of choices 0, 1, ...; empty: their index
  std::string target_delimiter = " ", shot_delimiter = "\n\n";
};

struct ShotSpec {
  uint32_t count = 0;
  std::filesystem::path file;     // beside the task: a list of records, or a table of such lists by subtask
  std::string split;              // or records of a split
  bool sampled = false;           // order = "sampled": drawn anew for each document, with the seed
  bool exclude_document = false;  // what is asked is not among its own examples
  std::optional<PlacedTemplate> text, target;  // where examples have other fields than questions
  PlacedTemplate prompt;     // instead of all that: a file in the data folder that is the text of the shots
  std::string prompt_after;  // what lies before this text is no part of it
  std::string prompt_key;    // the key of the text in a JSON file; may name {{subtask}}
  Place place;
};

struct MetricSpec {
  std::vector<std::string> names;  // generate: one of exact_match, number
  std::vector<PythonRegex> ignore;
  bool ignore_case = false, ignore_punctuation = false;
};

struct FilterSpec {
  enum Function { kNone, kRegex, kMultipleChoice, kScorer } function = kNone;
  std::string name = "none";
  std::optional<PythonRegex> regex;
  int64_t select = 0;  // of the matches; -1 is the last
  std::string fallback = "[invalid]";
  bool ignore_case = false, ignore_punctuation = false;  // of multi_choice_regex
  std::string scorer;                                    // scorers.h
  bool added = false;                                    // not one of the protocol's
  MetricSpec metric;
};

struct PasskeySpec {
  std::vector<int64_t> words;
  std::vector<double> depths;
  int64_t count = 0, digits = 5;
};

struct TaskFile {
  std::filesystem::path file;
  std::string text;  // with all that it extends, as TOML: two files with the same text are the same task
  std::string name, about, protocol, version, unverified;
  TaskKind kind = TaskKind::kGenerate;
  DataSpec data;
  PromptSpec prompt;
  ShotSpec shots;
  PasskeySpec passkey;
  std::vector<std::string> stops;
  uint32_t max_tokens = 256;
  bool stop_at_start = true;
  std::optional<PythonRegex> finished;
  std::vector<FilterSpec> filters;  // of generation
  MetricSpec metric;
  double chance = 0;  // of guessing right
  bool weight_by_size = true;
  // Full names of groups and short names of subtasks, in order; a group without a name for those in none, a subtask
  // without a name if the task has none.
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  std::string subtask_prefix, group_prefix;
  std::string group_version;              // of all subtasks together; as `version` if the file does not say
  std::map<std::string, double> chances;  // of subtasks that differ from `chance`, by short name
  std::vector<std::string> parts;         // fields of the records by which results are also shown
};

// Mistakes are added; the result is then not to be used.
TaskFile read_task_file(const std::filesystem::path& file, Mistakes& mistakes);

}  // namespace sluice
