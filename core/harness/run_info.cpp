// See run_info.h: from a task, and to and from the JSON of the store.
#include "core/harness/run_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/tasks/metrics.h"
#include "core/tasks/task_file.h"

namespace sluice {

using nlohmann::ordered_json;

bool MetricInfo::counts() const { return !is_perplexity(name); }
bool MetricInfo::higher_is_better() const { return counts(); }

std::vector<std::string> changes_of(const Task& task) {
  std::vector<std::string> list;
  if (task.shots != task.file->shots.count) list.push_back(fmt::format("--shots {}", task.shots));
  if (task.kind == TaskKind::kGenerate && task.max_tokens < task.file->max_tokens)
    list.push_back(fmt::format("--max-tokens {}", task.max_tokens));
  return list;
}

RunInfo run_info(const Task& task, const Subtask& subtask) {
  RunInfo info;
  info.task = task.name, info.group = subtask.group;
  info.alias = subtask.short_name.empty() ? subtask.name : subtask.short_name;
  info.unverified = task.unverified, info.shots = task.shots, info.chance = subtask.chance;
  info.group_version = task.group_version, info.parts = task.file->parts;
  info.weight_by_size = task.weight_by_size, info.generates = task.kind == TaskKind::kGenerate;
  info.total = subtask.total;
  info.part_totals.insert(subtask.part_totals.begin(), subtask.part_totals.end());
  for (size_t i = 0; i < task.metrics.size(); i++) {
    const std::string& key = task.metrics[i];
    const size_t comma = key.find(',');
    MetricInfo& metric = info.metrics.emplace_back();
    metric.name = key.substr(0, comma), metric.filter = key.substr(comma + 1);
    if (!info.generates) continue;
    metric.fallback = task.file->filters[i].fallback, metric.added = task.file->filters[i].added;
  }
  return info;
}

std::string to_json(const RunInfo& info) {
  ordered_json metrics = ordered_json::array();
  for (const MetricInfo& m : info.metrics)
    metrics.push_back({{"name", m.name}, {"filter", m.filter}, {"fallback", m.fallback}, {"added", m.added}});
  const ordered_json json = {{"task", info.task},
                             {"group", info.group},
                             {"alias", info.alias},
                             {"unverified", info.unverified},
                             {"shots", info.shots},
                             {"chance", info.chance},
                             {"group_version", info.group_version},
                             {"parts", info.parts},
                             {"part_totals", info.part_totals},
                             {"changes", info.changes},
                             {"weight_by_size", info.weight_by_size},
                             {"generates", info.generates},
                             {"reference", info.reference},
                             {"total", info.total},
                             {"token_bytes", info.token_bytes},
                             {"model", info.model},
                             {"settings", info.settings},
                             {"metrics", metrics}};
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void add_differences(const RunRecord& a, const RunRecord& b, std::vector<std::string>& names) {
  std::map<std::string, std::pair<std::string, std::string>> values;
  for (const auto& [name, value] : a.identity) values[name].first = value;
  for (const auto& [name, value] : b.identity) values[name].second = value;
  values["task version"] = {a.task_version, b.task_version};
  for (const auto& [name, both] : values)
    if (both.first != both.second && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

RunInfo read_run_info(const RunRecord& record) {
  try {
    const ordered_json json = ordered_json::parse(record.details);
    RunInfo info;
    json.at("task").get_to(info.task), json.at("group").get_to(info.group), json.at("alias").get_to(info.alias);
    json.at("unverified").get_to(info.unverified), json.at("shots").get_to(info.shots);
    json.at("chance").get_to(info.chance), json.at("weight_by_size").get_to(info.weight_by_size);
    json.at("group_version").get_to(info.group_version), json.at("parts").get_to(info.parts);
    json.at("changes").get_to(info.changes);
    if (json.contains("part_totals")) json.at("part_totals").get_to(info.part_totals);  // older stores have none
    json.at("generates").get_to(info.generates), json.at("reference").get_to(info.reference);
    json.at("total").get_to(info.total), json.at("token_bytes").get_to(info.token_bytes);
    json.at("model").get_to(info.model), json.at("settings").get_to(info.settings);
    for (const ordered_json& m : json.at("metrics"))
      info.metrics.push_back({m.at("name"), m.at("filter"), m.at("fallback"), m.at("added")});
    return info;
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("the details of {} under {} in this store are not those that `sluice eval` writes",
                            record.task, record.policy));
  }
}

}  // namespace sluice
