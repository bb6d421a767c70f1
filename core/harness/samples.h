// A stored sample as the numbers that figures are made of. Adding them up is rows.h's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/harness/run_info.h"
#include "core/store/records.h"

namespace sluice {

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

}  // namespace sluice
