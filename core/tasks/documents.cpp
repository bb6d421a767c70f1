// See documents.h.
#include "core/tasks/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_file.h"
#include "core/base/text.h"
#include "core/tasks/parts.h"
#include "core/tasks/passkey.h"
#include "core/tasks/prepare.h"
#include "core/tasks/shots.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A template over a record's fields; Error with both places where it names what the record lacks.
std::string render(const PlacedTemplate& from, const Json& fields, const std::string& origin) {
  try {
    return from.text.render(fields);
  } catch (const MissingField& missing) {
    throw Error(fmt::format("{}: {}{}", from.place.text, missing.message,
                            origin.empty() ? "" : fmt::format(" (in {})", origin)));
  }
}

std::string command_for(const TaskFile& task, const TaskOptions& options) {
  if (task.data.get.empty())
    return fmt::format("docs/evaluation.md says where it comes from; put it into {}", data_folder(options).string());
  return fmt::format("get it with: scripts/get_data.sh {}{}", task.data.get,
                     options.data.empty() ? "" : fmt::format(" --to {}", options.data.string()));
}

// The files that a subtask is made from.
struct Sources {
  fs::path scored, shots, labels, prompt;  // empty: none
  Json context;                            // for paths and the description

  std::vector<fs::path> all() const {
    std::vector<fs::path> files;
    for (const fs::path& file : {scored, shots, labels, prompt})
      if (!file.empty()) files.push_back(file);
    return files;
  }
};

Sources sources_of(const TaskFile& task, const std::string& member, const TaskOptions& options) {
  Sources result;
  result.context = {{"subtask", member}};
  const fs::path folder = data_folder(options);
  const auto path = [&](const PlacedTemplate& name) { return folder / render(name, result.context, {}); };
  if (task.data.reader != "passkey") result.scored = path(task.data.files.at(task.data.split));
  if (!task.data.labels.text.empty()) result.labels = path(task.data.labels);
  const uint32_t count = options.shots.value_or(task.shots.count);
  if (!task.shots.split.empty() && count > 0) result.shots = path(task.data.files.at(task.shots.split));
  if (!task.shots.prompt.text.empty()) result.prompt = path(task.shots.prompt);
  return result;
}

std::vector<Record> read_records(const TaskFile& task, const fs::path& file, const fs::path& labels) {
  std::vector<Record> records;
  if (task.data.reader == "jsonl") records = read_jsonl(file);
  if (task.data.reader == "json") records = read_json_list(file, task.data.list);
  if (task.data.reader == "csv") records = read_csv(file, task.data.columns);
  if (task.data.reader == "wikitext") records = wikitext_pages(read_file(file), file.string());
  if (!labels.empty()) {
    const std::string text = read_file(labels);
    std::vector<std::string_view> lines = split(text, '\n');
    while (!lines.empty() && python_strip(lines.back()).empty()) lines.pop_back();
    if (lines.size() != records.size())
      throw Error(fmt::format("{}: {} labels for the {} records of {}", labels.string(), lines.size(), records.size(),
                              file.string()));
    for (size_t i = 0; i < lines.size(); ++i) records[i].fields["label"] = python_strip(lines[i]);
  }
  for (Record& record : records) prepare_record(task.data.prepare, record);
  if (records.empty()) throw Error(fmt::format("{}: holds no record", file.string()));
  return records;
}

std::vector<uint32_t> chosen_ids(const TaskOptions& options, const std::string& name, size_t count) {
  std::vector<uint32_t> ids;
  if (options.samples.empty()) {
    size_t take = std::min<size_t>(count, options.limit.value_or(UINT32_MAX));
    if (options.limit_share) take = size_t(std::ceil(double(count) * *options.limit_share));
    for (uint32_t id = 0; id < take; ++id) ids.push_back(id);
    return ids;
  }
  ids = options.samples;
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.back() >= count)
    throw Error(fmt::format("there is no sample {} of {}: it has {}, counted from 0", ids.back(), name, count));
  return ids;
}

// The choices of a record, and which is right.
void set_choices(const TaskFile& task, const Record& record, Document& document) {
  const PromptSpec& prompt = task.prompt;
  if (!prompt.choice_list.empty()) {
    const auto list = record.fields.find(prompt.choice_list);
    if (list == record.fields.end() || !list->is_array())
      throw Error(fmt::format("{}: has no list \"{}\"", record.origin, prompt.choice_list));
    for (const Json& choice : *list)
      document.choices.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
  }
  for (const PlacedTemplate& choice : prompt.choices)
    document.choices.push_back(render(choice, record.fields, record.origin));
  if (document.choices.size() < 2)
    throw Error(fmt::format("{}: has {} to choose from; a question needs two answers or more", record.origin,
                            document.choices.size()));
  const std::string right = render(prompt.target, record.fields, record.origin);
  std::vector<std::string> labels = prompt.labels;
  if (labels.empty())
    for (size_t i = 0; i < document.choices.size(); ++i) labels.push_back(std::to_string(i));
  document.gold = size_t(std::find(labels.begin(), labels.end(), right) - labels.begin());
  if (document.gold >= std::min(labels.size(), document.choices.size()))
    throw Error(fmt::format("{}: the answer \"{}\" is none of {}", record.origin, printable(right), join(labels)));
}

class SubtaskMaker {
 public:
  SubtaskMaker(const TaskFile& task, Subtask& subtask, const Sources& sources, const TaskOptions& options)
      : task_(task), subtask_(subtask), sources_(sources), options_(options), random_(options.seed) {}

  void run() {
    const std::vector<Record> records = task_.data.reader == "passkey"
                                            ? passkey_records(passkey(), options_.seed)
                                            : read_records(task_, sources_.scored, sources_.labels);
    subtask_.total = uint32_t(records.size());
    if (!task_.parts.empty())
      for (const Record& record : records) subtask_.part_totals[part_name(record.fields, task_.parts)]++;
    load_shots(records);
    const std::vector<uint32_t> ids = chosen_ids(options_, subtask_.name, records.size());
    // A short run finds what would end a whole one.
    for (size_t id = 0, next = 0; id < records.size(); ++id)
      if (next < ids.size() && ids[next] == id)
        ++next;
      else
        check(records[id]);
    bool alike = true;
    size_t prefix = 0;
    for (const uint32_t id : ids) {
      Document& document = subtask_.documents.emplace_back();
      document.id = id;
      make(records[id], document);
      const Document& first = subtask_.documents.front();
      if (&document == &first)
        prefix = document.shared_prefix;
      else
        alike = alike && document.shared_prefix == prefix &&
                document.prompt.compare(0, prefix, first.prompt, 0, prefix) == 0;
    }
    if (!alike)
      for (Document& document : subtask_.documents) document.shared_prefix = description_.size();
  }

 private:
  PasskeySpec passkey() const {
    PasskeySpec spec = task_.passkey;
    if (!options_.passkey_words.empty())
      spec.words.assign(options_.passkey_words.begin(), options_.passkey_words.end());
    if (!options_.passkey_depths.empty()) spec.depths = options_.passkey_depths;
    return spec;
  }

  void load_shots(const std::vector<Record>& records) {
    count_ = options_.shots.value_or(task_.shots.count);
    Json context = sources_.context;
    if (!sources_.prompt.empty()) {
      if (count_ != task_.shots.count)
        throw Error(fmt::format("{}: {} has the {} examples of its published prompt, not {}", task_.shots.place.text,
                                task_.name, task_.shots.count, count_));
      fixed_ = fixed_prompt(task_.shots, sources_.prompt, context);
      count_ = 0;
    }
    if (!task_.shots.file.empty()) {
      ShotList list = read_shot_list(task_.shots.file, subtask_.short_name);
      pool_ = std::move(list.records);
      if (!list.description.empty()) context["description"] = list.description;
    }
    if (!sources_.shots.empty())
      pool_ = sources_.shots == sources_.scored ? records : read_records(task_, sources_.shots, {});
    if (count_ > 0 && pool_.empty())
      throw Error(fmt::format("{}: {} has no examples to show: its shots can only be 0, as in --shots {}=0",
                              task_.shots.place.text.empty() ? task_.file.string() : task_.shots.place.text, task_.name,
                              task_.name));
    if (count_ > pool_.size())
      throw Error(fmt::format("{}: {} shots, but {} has {} examples", task_.shots.place.text, count_, subtask_.name,
                              pool_.size()));
    description_ = render(task_.prompt.description, context, {});
  }

  // An example with its answer, as it stands before the question.
  std::string shot(const Record& record) const {
    const PlacedTemplate& text = task_.shots.text ? *task_.shots.text : task_.prompt.text;
    std::string result = render(text, record.fields, record.origin), answer;
    if (task_.kind == TaskKind::kMultipleChoice && !task_.shots.target) {
      Document as_document;
      set_choices(task_, record, as_document);
      answer = as_document.choices[as_document.gold];
    } else {
      answer = render(task_.shots.target ? *task_.shots.target : task_.prompt.target, record.fields, record.origin);
    }
    if (answer.empty()) return result;
    return result + task_.prompt.target_delimiter + answer + task_.prompt.shot_delimiter;
  }

  void check(const Record& record) const {
    const PromptSpec& prompt = task_.prompt;
    render(prompt.text, record.fields, record.origin);
    render(prompt.target, record.fields, record.origin);
    Document unused;
    if (task_.kind == TaskKind::kMultipleChoice) set_choices(task_, record, unused);
  }

  void make(const Record& record, Document& document) {
    document.fields = record.fields;
    const PromptSpec& prompt = task_.prompt;
    if (task_.kind == TaskKind::kPerplexity) {
      static const PythonRegex spaces("\\s+");
      document.prompt = render(prompt.text, record.fields, record.origin);
      document.target = render(prompt.target, record.fields, record.origin);
      document.words = spaces.split_count(document.target);
      document.bytes = document.target.size();
      return;
    }
    document.prompt = description_ + fixed_;
    if (count_ > 0)
      for (const size_t index : choose_shots(task_.shots, pool_, count_, record, random_))
        document.prompt += shot(pool_[index]);
    document.shared_prefix = document.prompt.size();
    document.prompt += render(prompt.text, record.fields, record.origin);
    if (task_.kind == TaskKind::kMultipleChoice) {
      set_choices(task_, record, document);
      document.target = document.choices[document.gold];
      for (std::string& choice : document.choices) choice = prompt.target_delimiter + choice;
    } else {
      document.target = render(prompt.target, record.fields, record.origin);
    }
  }

  const TaskFile& task_;
  Subtask& subtask_;
  const Sources& sources_;
  const TaskOptions& options_;
  PythonRandom random_;
  std::vector<Record> pool_;
  uint32_t count_ = 0;
  std::string description_, fixed_;
};

}  // namespace

fs::path data_folder(const TaskOptions& options) {
  if (!options.data.empty()) return options.data;
  if (const char* folder = std::getenv("SLUICE_DATA"); folder && *folder) return folder;
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache" / "sluice" / "data";
  return ".";
}

std::vector<Subtask> make_subtasks(const TaskFile& task, std::string_view part, const TaskOptions& options,
                                   Mistakes& mistakes) {
  std::vector<Subtask> subtasks;
  std::vector<Sources> sources;
  std::vector<std::string> missing;
  for (const auto& [group, members] : task.groups)
    for (const std::string& member : members) {
      const std::string name = member.empty() ? task.name : task.subtask_prefix + member;
      if (!part.empty() && part != group && part != name) continue;
      const auto chance = task.chances.find(member);
      subtasks.push_back({name, member, group, 0, chance == task.chances.end() ? task.chance : chance->second, {}, {}});
      try {
        sources.push_back(sources_of(task, member, options));
      } catch (const Error& error) {
        mistakes.add_lines(error.what());
        return {};
      }
      std::error_code error;
      for (const fs::path& file : sources.back().all())
        if (!fs::exists(file, error)) missing.push_back(file.string());
    }
  if (!missing.empty()) {
    std::sort(missing.begin(), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    const std::string others = missing.size() > 1 ? fmt::format(" and {} more files", missing.size() - 1) : "";
    mistakes.add({}, fmt::format("{} lacks {}{}; {}", task.name, printable(missing[0], 500), others,
                                 command_for(task, options)));
    return {};
  }
  for (size_t i = 0; i < subtasks.size(); ++i) try {
      SubtaskMaker(task, subtasks[i], sources[i], options).run();
    } catch (const Error& error) {
      mistakes.add_lines(error.what());
    }
  return subtasks;
}

}  // namespace sluice
