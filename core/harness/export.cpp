// See export.h.
#include "core/harness/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/harness/json.h"
#include "core/report/format.h"
#include "core/report/json.h"
#include "core/store/export.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

std::string version_json(const std::string& version) {
  return ordered_json::accept(version) ? version : ordered_json(version).dump();
}

const char* output_type(TaskKind kind) {
  return kind == TaskKind::kGenerate         ? "generate_until"
         : kind == TaskKind::kMultipleChoice ? "multiple_choice"
                                             : "loglikelihood_rolling";
}

std::string task_config(const EvalRow& row, std::span<const TaskRequests> asked) {
  const auto found =
      std::find_if(asked.begin(), asked.end(), [&](const TaskRequests& a) { return a.subtask->name == row.name; });
  if (found == asked.end()) return "{}";
  const Task& task = *found->task;
  ordered_json json;
  json["task"] = row.name, json["num_fewshot"] = row.shots, json["output_type"] = output_type(task.kind);
  if (task.kind == TaskKind::kGenerate)
    json["generation_kwargs"] = {{"until", task.stops}, {"do_sample", false}, {"max_gen_toks", task.max_tokens}};
  ordered_json& metrics = json["metric_list"] = ordered_json::array();
  for (const MetricRow& m : row.metrics) {
    const ordered_json one = {{"metric", m.metric.name}, {"higher_is_better", m.metric.higher_is_better()}};
    if (std::find(metrics.begin(), metrics.end(), one) == metrics.end())
      metrics.push_back(one);  // once for all filters
  }
  json["metadata"] = {{"version", ordered_json::parse(version_json(row.version))}, {"protocol", row.protocol}};
  return json.dump();
}

ExportTask export_task(const EvalRow& row, std::span<const TaskRequests> asked) {
  ExportTask task;
  task.name = row.name;
  task.alias = row.depth == 0 ? row.name : std::string(row.depth, ' ') + "- " + row.alias;
  for (const MetricRow& m : row.metrics) {
    ExportMetric& metric = task.metrics.emplace_back();
    metric.name = m.metric.name, metric.filter = m.metric.filter, metric.value = m.value;
    if (m.metric.counts()) metric.stderr_value = m.error;
    const std::pair<std::string, bool> better{m.metric.name, m.metric.higher_is_better()};
    if (std::find(task.higher_is_better.begin(), task.higher_is_better.end(), better) == task.higher_is_better.end())
      task.higher_is_better.push_back(better);
  }
  task.version = version_json(row.version);
  task.shots = row.shots;
  task.original = row.total, task.effective = row.samples;
  task.group = !row.children.empty(), task.children = row.children;
  if (!task.group) task.config = task_config(row, asked);
  return task;
}

// A file without its ending, a folder as it is called.
std::string model_name(const std::filesystem::path& model) {
  std::error_code none;
  if (!std::filesystem::is_directory(model, none)) return model.stem().string();
  return std::filesystem::weakly_canonical(model).filename().string();
}

}  // namespace

std::vector<std::filesystem::path> export_results(EvalWork& work, const EvalResult& result, const ExportOrder& order) {
  std::vector<std::filesystem::path> files;
  for (size_t p = 0; p < result.policies.size(); p++) {
    const EvalPolicyResult& policy = result.policies[p];
    if (policy.rows.empty()) continue;
    Export run;
    run.model_name = fmt::format("{}@{}", model_name(order.model), policy.policy);
    run.config = ordered_json({{"model", "sluice"},
                               {"model_args", "pretrained=" + order.model.string()},
                               {"batch_size", result.batch},
                               {"device", result.backend},
                               {"limit", result.limit ? ordered_json(*result.limit) : ordered_json(nullptr)},
                               {"draw", result.draw ? ordered_json{{"count", *result.draw}, {"seed", result.draw_seed}}
                                                    : ordered_json(nullptr)},
                               {"fast_stop", result.fast_stop},
                               {"random_seed", 0},
                               {"numpy_seed", 1234},
                               {"torch_seed", 1234},
                               {"fewshot_seed", 1234}})
                     .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    run.date = order.began, run.seconds = result.seconds, run.machine = result.machine;
    for (const bool groups : {false, true})
      for (const EvalRow& row : policy.rows)
        if (!row.part && groups == !row.children.empty()) run.tasks.push_back(export_task(row, work.asked()));
    ordered_json extra;
    extra["policy"] = clean_utf8(policy.policy), extra["settings"] = clean_utf8(policy.settings);
    extra["kv"] = to_json(policy.kv);
    ordered_json& tasks = extra["tasks"] = ordered_json::object();
    for (const EvalRow& row : policy.rows) tasks[row.name] = to_json(row);
    run.extra = extra.dump();
    std::vector<std::vector<SampleRecord>> texts;
    std::vector<ExportSamples> samples;
    if (order.samples) {
      for (size_t t = 0; t < work.asked().size(); t++) texts.push_back(work.samples(p, t));
      for (size_t t = 0; t < texts.size(); t++)
        if (!texts[t].empty()) samples.push_back({work.asked()[t].subtask->name, texts[t]});
    }
    for (std::filesystem::path& file : write_export(order.folder, order.time, run, samples))
      files.push_back(std::move(file));
  }
  return files;
}

}  // namespace sluice
