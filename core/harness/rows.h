// Stored samples as figures: per subtask, group and task the metrics with their errors, what was gained and lost
// against the baseline on the same questions, and what the caches took. Reads no store and writes no table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/report/result.h"
#include "core/report/significance.h"
#include "core/store/records.h"
#include "core/tasks/task.h"

namespace sluice {

struct MetricInfo {
  std::string name, filter, fallback;  // fallback: what the filter says where it finds nothing
  bool added = false;                  // not one of the protocol's
  std::string key() const { return name + "," + filter; }
  bool higher_is_better() const;
  bool counts() const;  // 0 or 1 for each question
};

// What figures need to know of a run beside its samples; kept in the store as the run's details.
struct RunInfo {
  std::string task;   // that was asked for: "mmlu" of mmlu_anatomy
  std::string group;  // "mmlu_stem", or empty
  std::string alias;  // of the subtask: "anatomy"
  std::string unverified;
  uint32_t shots = 0;
  double chance = 0;
  std::string group_version;         // of the task as a whole
  std::vector<std::string> parts;    // fields of a record by which results are also shown
  std::vector<std::string> changes;  // options that make this something else than the protocol
  bool weight_by_size = true, generates = false;
  bool reference = false;    // keeps all, as F16
  uint64_t total = 0;        // documents there are
  uint64_t token_bytes = 0;  // of a token's rows in F16
  std::string model;         // its name
  std::string settings;      // of the policy, for people
  std::vector<MetricInfo> metrics;
};
RunInfo run_info(const Task& task, const Subtask& subtask);
std::string to_json(const RunInfo& info);
// Error if it is not what to_json() wrote.
RunInfo read_run_info(const RunRecord& record);

// A sample without its texts.
struct ScoredSample {
  uint64_t doc_id = 0;
  std::string key;
  std::string part;                     // "words=600, depth=0.25", where results are shown by fields of the record
  std::vector<double> values, weights;  // [metrics]; NaN where it has none
  std::vector<bool> invalid;            // [metrics]
  std::vector<int32_t> tokens;
  bool truncated = false, degenerate = false, too_short = false;
  uint64_t compressed = 0;
  double kept_after_prompt = 0, kept = 0;
  uint64_t prompt_tokens = 0, stored = 0, f16 = 0, peak = 0;
  std::vector<KindBytes> bytes;
  std::vector<TokenScore> forced;  // the baseline's answer through this policy's cache, if that was measured
};
ScoredSample scored_sample(const SampleRecord& sample, const RunInfo& info);

// A subtask under a policy.
struct ScoredRun {
  std::string policy, name, version, protocol;
  RunInfo info;
  std::vector<ScoredSample> samples;
};

// Against the baseline, on the questions that both have answered.
struct MetricDifference {
  double difference = kUnknown;
  Interval interval{kUnknown, kUnknown};  // 95 %, of metrics that are means over questions
  std::optional<Flips> flips;             // of metrics that count right answers
  double p = kUnknown;
};

struct MetricRow {
  MetricInfo metric;
  double value = kUnknown, error = kUnknown;
  double invalid = kUnknown;    // share of samples in which nothing was found
  bool floor = false;           // the baseline may be guessing
  double baseline = kUnknown;   // its value on the questions that both have
  MetricDifference difference;  // unknown without a baseline
};

struct EvalRow {
  std::string name, alias, version, protocol, unverified;
  uint32_t depth = 0;                 // below the task that was asked for
  bool part = false;                  // some of a subtask's questions, by fields of their records
  std::vector<std::string> changes;   // as RunInfo has them
  std::vector<std::string> children;  // of a task or group of several subtasks
  uint32_t shots = 0;
  bool generates = false;
  uint64_t samples = 0, total = 0;
  uint64_t paired = 0, only_here = 0, only_baseline = 0;
  std::vector<MetricRow> metrics;
  double generated = kUnknown, truncated = kUnknown, degenerate = kUnknown;  // tokens; shares
  double compressed = kUnknown;  // before scoring, mean over the samples that were long enough
  uint64_t least_compressed = 0, too_short = 0;
  double kept_after_prompt = kUnknown, kept = kUnknown;             // shares of tokens
  KvBytes kv;                                                       // means per sample; the peak is the largest
  FidelityFigures fidelity;                                         // of forced answers; errors are over questions
  uint64_t diverged = 0;                                            // generations that differ from the baseline's
  double divergence_mean = kUnknown, divergence_median = kUnknown;  // the first token that does
};

// Tasks in the order of the runs, each with its groups and subtasks below it. `baseline`: of the same tasks, or none.
std::vector<EvalRow> eval_rows(std::span<const ScoredRun> runs, std::span<const ScoredRun> baseline);
// Over all samples of a policy.
KvBytes mean_bytes(std::span<const ScoredRun> runs);

}  // namespace sluice
