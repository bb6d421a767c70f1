// See json.h.
#include "core/harness/json.h"

#include "core/report/format.h"
#include "core/report/json.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

ordered_json against(const EvalRow& row) {
  ordered_json all = ordered_json::object();
  for (const MetricRow& m : row.metrics) {
    const MetricDifference& d = m.difference;
    ordered_json one;
    one["baseline"] = number_or_null(m.baseline);
    one["difference"] = number_or_null(d.difference);
    one["interval"] = {number_or_null(d.interval.low), number_or_null(d.interval.high)};
    one["flips_lost"] = d.flips ? ordered_json(d.flips->lost) : ordered_json(nullptr);
    one["flips_won"] = d.flips ? ordered_json(d.flips->won) : ordered_json(nullptr);
    one["mcnemar_p"] = number_or_null(d.p);
    one["floor"] = m.floor;
    all[m.metric.key()] = one;
  }
  return all;
}

ordered_json fidelity(const FidelityFigures& f) {
  if (f.tokens == 0) return nullptr;
  ordered_json json = {{"tokens", f.tokens}};
  add_fidelity(json, f);
  return json;
}

ordered_json divergence(const EvalRow& row) {
  return {{"texts", row.diverged},
          {"mean", number_or_null(row.divergence_mean)},
          {"median", number_or_null(row.divergence_median)}};
}

}  // namespace

ordered_json to_json(const EvalRow& row) {
  ordered_json json;
  json["alias"] = row.alias;
  for (const MetricRow& m : row.metrics) {
    json[m.metric.key()] = number_or_null(m.value);
    json[m.metric.name + "_stderr," + m.metric.filter] =
        m.metric.counts() ? number_or_null(m.error) : ordered_json("N/A");
  }
  json["version"] = row.version, json["protocol"] = row.protocol;
  json["unverified"] = row.unverified.empty() ? ordered_json(nullptr) : ordered_json(row.unverified);
  json["n-shot"] = row.shots, json["changes"] = row.changes;
  json["samples"] = row.samples, json["total"] = row.total;
  json["generated"] = number_or_null(row.generated), json["truncated"] = number_or_null(row.truncated);
  json["degenerate"] = number_or_null(row.degenerate);
  ordered_json& invalid = json["invalid"] = ordered_json::object();
  if (row.generates)
    for (const MetricRow& m : row.metrics) invalid[m.metric.filter] = number_or_null(m.invalid);
  json["compressed_before_scoring"] = number_or_null(row.compressed);
  json["least_compressed_before_scoring"] = row.least_compressed;
  json["too_short"] = row.too_short;
  json["kept_after_prompt"] = number_or_null(row.kept_after_prompt);
  json["kept"] = number_or_null(row.kept);
  json["against_baseline"] = against(row);
  json["paired"] = row.paired;
  json["first_divergence"] = divergence(row);
  json["fidelity"] = fidelity(row.fidelity);
  json["kv"] = to_json(row.kv);
  if (!row.children.empty()) json["subtasks"] = row.children;
  return json;
}

ordered_json eval_json(const EvalResult& result) {
  ordered_json json;
  json["version"] = result.version, json["date"] = result.date;
  json["model"] = {{"name", clean_utf8(result.model)}, {"weight_type", result.weight_type}};
  json["machine"] = clean_utf8(result.machine);
  json["backend"] = {{"name", result.backend},
                     {"kernel", result.kernel},
                     {"threads", result.threads},
                     {"precision", result.precision}};
  json["batch"] = result.batch, json["score_window"] = result.score_window, json["context"] = result.context;
  json["limit"] = result.limit ? ordered_json(*result.limit) : ordered_json(nullptr);
  json["draw"] =
      result.draw ? ordered_json{{"count", *result.draw}, {"seed", result.draw_seed}} : ordered_json(nullptr);
  json["fast_stop"] = result.fast_stop;
  json["complete"] = result.complete, json["note"] = clean_utf8(result.note);
  json["asked"] = result.asked, json["generated"] = result.generated, json["seconds"] = result.seconds;
  json["tok_s"] =
      result.generated > 0 ? number_or_null(double(result.generated) / result.seconds) : ordered_json(nullptr);
  json["memory"] = {{"weights", result.memory.weights},     {"activations", result.memory.activations},
                    {"workspace", result.memory.workspace}, {"planned", result.planned_bytes},
                    {"cache_peak", result.cache_peak},      {"rss_peak", result.memory.rss_peak}};
  ordered_json& policies = json["policies"] = ordered_json::array();
  for (const EvalPolicyResult& policy : result.policies) {
    ordered_json one;
    one["policy"] = clean_utf8(policy.policy), one["settings"] = clean_utf8(policy.settings);
    one["reference"] = policy.reference;
    ordered_json& tasks = one["tasks"] = ordered_json::object();
    for (const EvalRow& row : policy.rows) tasks[row.name] = to_json(row);
    one["kv"] = to_json(policy.kv);
    policies.push_back(one);
  }
  return json;
}

ordered_json difference_json(std::span<const PolicyDifference> differences) {
  ordered_json pairs = ordered_json::array();
  for (const PolicyDifference& pair : differences) {
    ordered_json one;
    one["a"] = clean_utf8(pair.a), one["b"] = clean_utf8(pair.b), one["differ_in"] = pair.identity;
    ordered_json& tasks = one["tasks"] = ordered_json::object();
    for (const EvalRow& row : pair.rows) {
      ordered_json& task = tasks[row.name] = ordered_json::object();
      ordered_json metrics = against(row);
      for (const MetricRow& m : row.metrics) {
        ordered_json& metric = metrics[m.metric.key()];
        ordered_json named = {{"a", metric["baseline"]}, {"b", number_or_null(m.baseline + m.difference.difference)}};
        metric.erase("baseline");
        named.update(metric);
        task[m.metric.key()] = named;
      }
      task["paired"] = row.paired, task["only_a"] = row.only_baseline, task["only_b"] = row.only_here;
      task["first_divergence"] = divergence(row);
    }
    pairs.push_back(one);
  }
  return {{"pairs", pairs}};
}

}  // namespace sluice
