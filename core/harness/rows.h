// Stored samples as figures: per subtask, group and task the metrics with their errors, what was gained and lost
// against the baseline on the same questions, and what the caches took. Reads no store and writes no table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/harness/samples.h"
#include "core/report/result.h"
#include "core/report/significance.h"

namespace sluice {

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
