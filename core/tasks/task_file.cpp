// See task_file.h.
#include "core/tasks/task_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tasks/metrics.h"
#include "core/tasks/prepare.h"
#include "core/tasks/scorers.h"
#include "core/tasks/table_reader.h"

namespace sluice {
namespace {

constexpr std::string_view kKinds[] = {"generate", "multiple_choice", "perplexity"};
constexpr std::string_view kProtocols[] = {"lm-eval", "gear", "sluice"};
constexpr std::string_view kReaders[] = {"jsonl", "json", "csv", "wikitext", "passkey"};
constexpr std::string_view kFunctions[] = {"regex", "multi_choice_regex", "take_first"};
constexpr std::string_view kOrders[] = {"first", "sampled"};

void read_data(TableReader& from, TaskFile& task, Mistakes& mistakes) {
  DataSpec& data = task.data;
  data.reader = from.choice("reader", kReaders);
  data.list = from.text("list", "");
  data.columns = from.texts("columns");
  data.prepare = from.choice("prepare", preparations(), "");
  data.get = from.text("get", "");
  if (data.reader == "passkey") {
    task.passkey.words = from.integers("words", 16, 1 << 20);
    task.passkey.depths = from.numbers("depths", 0, 1);
    task.passkey.count = from.integer("count", 1, 1000, 10);
    task.passkey.digits = from.integer("digits", 1, 18, 5);
    return;
  }
  data.split = from.text("split");
  if (const Table* files = from.table("files"))
    for (const Table::Entry& entry : files->entries) {
      if (entry.node.text())
        data.files[entry.key] = placed_template(entry.node, mistakes);
      else
        mistakes.add(entry.node.place, fmt::format("data.files takes paths, not {}", found(entry.node)));
    }
  data.labels = from.text_template("labels");
  if (!data.split.empty() && !data.files.count(data.split))
    mistakes.add(from.place("split"), fmt::format("data.files has no \"{}\"", printable(data.split)));
  if (data.reader == "csv" && data.columns.empty()) mistakes.add(from.place("reader"), "csv needs data.columns");
}

void read_prompt(TableReader& from, TaskFile& task) {
  PromptSpec& prompt = task.prompt;
  prompt.description = from.text_template("description");
  prompt.text = from.text_template("text");
  prompt.target = from.text_template("target");
  prompt.choices = from.text_templates("choices");
  prompt.choice_list = from.text("choice_list", "");
  prompt.labels = from.texts("labels");
  prompt.target_delimiter = from.text("target_delimiter", " ");
  prompt.shot_delimiter = from.text("shot_delimiter", "\n\n");
}

void read_shots(TableReader& from, TaskFile& task, Mistakes& mistakes) {
  ShotSpec& shots = task.shots;
  shots.place = from.own_place();
  shots.count = uint32_t(from.integer("count", 0, 1000, 0));
  if (const std::string file = from.text("file", ""); !file.empty()) shots.file = task.file.parent_path() / file;
  shots.split = from.text("split", "");
  shots.sampled = from.choice("order", kOrders, "first") == "sampled";
  shots.exclude_document = from.boolean("exclude_document", false);
  if (from.has("text")) shots.text = from.text_template("text");
  if (from.has("target")) shots.target = from.text_template("target");
  shots.prompt = from.text_template("prompt");
  shots.prompt_after = from.text("prompt_after", "");
  shots.prompt_key = from.text("prompt_key", "");
  const int sources = int(!shots.file.empty()) + int(!shots.split.empty()) + int(!shots.prompt.text.empty());
  if (sources > 1) mistakes.add(from.own_place(), "[shots] takes one of file, split and prompt");
  if (!shots.split.empty() && !task.data.files.count(shots.split))
    mistakes.add(from.place("split"), fmt::format("data.files has no \"{}\"", printable(shots.split)));
  if (shots.split == task.data.split && !shots.split.empty()) shots.exclude_document = true;
}

// What `from` says over what `base` has.
MetricSpec read_metric(TableReader& from, MetricSpec base, TaskKind kind) {
  if (from.has("names")) base.names = from.choices("names", metrics_of(kind));
  if (from.has("ignore")) base.ignore = from.expressions("ignore");
  base.ignore_case = from.boolean("ignore_case", base.ignore_case);
  base.ignore_punctuation = from.boolean("ignore_punctuation", base.ignore_punctuation);
  return base;
}

FilterSpec read_filter(TableReader& from, const TaskFile& task, Mistakes& mistakes) {
  FilterSpec filter;
  filter.name = from.text("name");
  filter.added = from.boolean("added", false);
  filter.scorer = from.choice("scorer", scorers(), "");
  const std::string function = from.choice("function", kFunctions, from.has("regex") ? "regex" : "take_first");
  if (!filter.scorer.empty()) {
    filter.function = FilterSpec::kScorer;
  } else if (function != "take_first") {
    filter.function = function == "regex" ? FilterSpec::kRegex : FilterSpec::kMultipleChoice;
    filter.regex = from.expression("regex");
    filter.select = from.integer("group_select", -1000, 1000, 0);
    filter.fallback = from.text("fallback", "[invalid]");
    filter.ignore_case = from.boolean("ignore_case", false);
    filter.ignore_punctuation = from.boolean("ignore_punctuation", false);
  }
  filter.metric = task.metric;
  if (const Table* own = from.table("metric")) {
    TableReader reader(*own, from.label() + ".metric", from.place("metric"), mistakes);
    filter.metric = read_metric(reader, task.metric, task.kind);
    reader.finish();
  }
  from.finish();
  return filter;
}

void read_subtasks(TableReader& from, TaskFile& task, Mistakes& mistakes) {
  task.subtask_prefix = from.text("prefix", task.name + "_");
  task.group_prefix = from.text("group_prefix", task.subtask_prefix);
  if (std::vector<std::string> names = from.texts("names"); !names.empty()) task.groups.emplace_back("", names);
  task.group_version = from.text("version", task.version);
  task.parts = from.texts("parts");
  if (const Table* chances = from.table("chance")) {
    TableReader reader(*chances, from.label() + ".chance", from.place("chance"), mistakes);
    for (const Table::Entry& entry : chances->entries) task.chances[entry.key] = reader.number(entry.key, 0, 1, 0);
  }
  const Table* groups = from.table("groups");
  if (!groups) return;
  std::vector<std::string> all;
  for (const Table::Entry& entry : groups->entries) {
    const auto* names = entry.node.array();
    std::vector<std::string> members;
    for (const Node& name : names ? *names : std::vector<Node>()) {
      if (!name.text()) {
        mistakes.add(name.place, fmt::format("a group takes names, not {}", found(name)));
        continue;
      }
      if (std::find(all.begin(), all.end(), *name.text()) != all.end())
        mistakes.add(name.place, fmt::format("\"{}\" stands in two groups", printable(*name.text())));
      all.push_back(*name.text());
      members.push_back(*name.text());
    }
    if (members.empty()) mistakes.add(entry.key_place, "a group takes a list of names");
    task.groups.emplace_back(task.group_prefix + entry.key, std::move(members));
  }
}

// What no single key can be blamed for.
void check_whole(const TaskFile& task, const Place& top, Mistakes& mistakes) {
  const bool choices = !task.prompt.choices.empty() || !task.prompt.choice_list.empty();
  if (task.kind == TaskKind::kMultipleChoice) {
    if (!choices) mistakes.add(top, "a task of kind multiple_choice needs prompt.choices or prompt.choice_list");
    if (task.prompt.choices.size() == 1)
      mistakes.add(task.prompt.choices[0].place, "one choice is no choice: prompt.choices takes two or more");
    if (!task.filters.empty()) mistakes.add(top, "filters belong to tasks of kind generate");
  } else if (choices) {
    mistakes.add(top, "prompt.choices belong to tasks of kind multiple_choice");
  }
  if (task.metric.names.empty()) mistakes.add(top, "[metric] needs names");
  if (task.kind == TaskKind::kGenerate)
    for (const FilterSpec& filter : task.filters)
      if (filter.metric.names.size() > 1) mistakes.add(top, "a filter has one metric");
  if (task.shots.count > 0 && task.shots.file.empty() && task.shots.split.empty() && task.shots.prompt.text.empty())
    mistakes.add(task.shots.place, "[shots] with a count needs file, split or prompt");
  for (size_t i = 0; i < task.filters.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (task.filters[i].name == task.filters[j].name)
        mistakes.add(top, fmt::format("two filters are called \"{}\"", printable(task.filters[i].name)));
}

}  // namespace

TaskFile read_task_file(const std::filesystem::path& file, Mistakes& mistakes) {
  TaskFile task;
  task.file = file;
  const Table table = read_layers(file, mistakes).merged();
  const Place top{file.string(), file.parent_path()};
  if (table.entries.empty()) {
    if (mistakes.empty())
      mistakes.add(top, "is empty; a task needs name, protocol, version, kind, data, prompt and metric");
    return task;
  }
  task.text = write_table(table, false);
  TableReader from(table, "", top, mistakes);
  task.name = from.text("name");
  task.about = from.text("about", "");
  task.protocol = from.choice("protocol", kProtocols);
  task.version = from.text("version");
  task.unverified = from.text("unverified", "");
  const std::string kind = from.choice("kind", kKinds);
  task.kind = kind == kKinds[1]   ? TaskKind::kMultipleChoice
              : kind == kKinds[2] ? TaskKind::kPerplexity
                                  : TaskKind::kGenerate;
  task.chance = from.number("chance", 0, 1, 0);
  task.weight_by_size = from.boolean("weight_by_size", true);
  const auto section = [&](const char* name, const auto& read) {
    if (const Table* part = from.table(name)) {
      TableReader reader(*part, name, from.place(name), mistakes);
      read(reader);
      reader.finish();
    }
  };
  section("data", [&](TableReader& part) { read_data(part, task, mistakes); });
  section("prompt", [&](TableReader& part) { read_prompt(part, task); });
  section("shots", [&](TableReader& part) { read_shots(part, task, mistakes); });
  section("metric", [&](TableReader& part) { task.metric = read_metric(part, {}, task.kind); });
  section("generate", [&](TableReader& part) {
    task.stops = part.texts("stops");
    for (const std::string& stop : task.stops)
      if (stop.empty()) mistakes.add(part.place("stops"), "an empty stop would end every answer");
    task.max_tokens = uint32_t(part.integer("max_tokens", 1, 1 << 20, 256));
    task.stop_at_start = part.boolean("stop_at_start", true);
    if (part.has("finished")) task.finished = part.expression("finished");
  });
  section("subtasks", [&](TableReader& part) { read_subtasks(part, task, mistakes); });
  size_t number = 0;
  for (const Node& node : from.array("filters")) {
    if (const Table* one = node.table()) {
      TableReader reader(*one, fmt::format("filters[{}]", number++), node.place, mistakes);
      task.filters.push_back(read_filter(reader, task, mistakes));
    } else {
      mistakes.add(node.place, fmt::format("a filter is a table, not {}", found(node)));
    }
  }
  from.finish();
  if (task.groups.empty()) task.groups = {{"", {""}}};
  if (task.group_version.empty()) task.group_version = task.version;
  for (const auto& [name, chance] : task.chances)
    if (std::none_of(task.groups.begin(), task.groups.end(), [&, &name = name](const auto& group) {
          return std::find(group.second.begin(), group.second.end(), name) != group.second.end();
        }))
      mistakes.add(top, fmt::format("subtasks.chance names \"{}\", which is no subtask", printable(name)));
  if (task.kind == TaskKind::kGenerate && task.filters.empty()) {
    task.filters.emplace_back();
    task.filters.back().metric = task.metric;
  }
  check_whole(task, top, mistakes);
  return task;
}

}  // namespace sluice
