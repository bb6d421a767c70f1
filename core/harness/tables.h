// What `sluice eval` and `sluice diff` print: the harness's table per policy, a table of what policies cost and change,
// the same flat for programs, and JSON. Field names are docs/output.md's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/harness/rows.h"
#include "core/report/table.h"

namespace sluice {

struct EvalPolicyResult {
  std::string policy, settings;
  bool reference = false;  // the baseline
  std::vector<EvalRow> rows;
  KvBytes kv;
};

struct EvalResult {
  std::string version, date, model, weight_type, machine, backend, kernel, precision;
  uint32_t threads = 0, batch = 0, score_window = 0, context = 0;
  std::optional<double> limit;   // questions of each subtask, or a share of them
  std::optional<uint32_t> draw;  // questions drawn of each task
  uint64_t draw_seed = 0;
  bool fast_stop = false;
  MemoryUse memory;
  uint64_t planned_bytes = 0, cache_peak = 0;  // of the whole run; of caches, measured
  uint64_t asked = 0, generated = 0;           // in this run, without what was there already
  double seconds = 0;
  bool complete = true;  // all samples are there
  std::string note;      // what the reader must know; may be empty
  std::vector<EvalPolicyResult> policies;

  const EvalPolicyResult* baseline() const;
};

std::string eval_table(const EvalResult& result, Format format);

// The rows of B against A, a table per pair of policies.
struct PolicyDifference {
  std::string a, b;  // policies
  std::vector<EvalRow> rows;
  std::vector<std::string> identity;  // what the runs differ in, besides their answers
};
std::string difference_table(std::span<const PolicyDifference> differences, Format format);

}  // namespace sluice
