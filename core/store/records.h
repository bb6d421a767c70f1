// What a store holds, as plain values: runs (one task under one policy on one model) and their samples. What the
// figures mean is docs/store.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

// What makes answers comparable, and nothing else: two runs with equal identity would give the same answers.
struct RunRecord {
  std::string policy, task, task_version, protocol;
  // Name and value of all that an answer follows from: hashes of model and plugin files, settings, precision, kernels.
  std::vector<std::pair<std::string, std::string>> identity;
  // Not part of the identity, kept for people and reports.
  std::string config;          // the resolved configuration
  std::string details = "{}";  // JSON of the caller's

  std::string key() const;  // SHA-256 over policy, task, version, protocol and identity
};

struct Metric {
  std::string name;
  double value = 0;
  std::optional<double> weight;  // of metrics that are summed up before they are divided (words of a perplexity)
};

// One of a task's filters: what it made of the responses, and the metrics of that.
struct Filtered {
  std::string filter;
  std::string responses;  // JSON: one per request
  std::vector<Metric> metrics;
};

struct KindBytes {
  std::string kind;
  uint64_t stored = 0, peak = 0;
};

struct SampleRecord {
  uint64_t doc_id = 0;
  std::string doc;  // JSON, the record as the data has it
  std::string target;
  std::string prompt;     // the first argument of each of its requests
  std::string arguments;  // JSON: the second argument of each request, as the harness writes it
  std::string responses;  // JSON: of each request its responses
  std::vector<Filtered> filtered;

  std::vector<int32_t> tokens;  // generated
  std::string ended_by;
  uint32_t prompt_tokens = 0, prefix_tokens = 0;
  uint64_t compressed_before_scoring = 0;
  bool too_short = false;
  double kept_after_prompt = 0, kept = 0;
  uint64_t stored_bytes = 0, f16_bytes = 0, peak_bytes = 0;
  std::vector<KindBytes> bytes;  // those that are not 0
  double seconds = 0, prompt_seconds = 0;

  std::string prompt_key() const;  // SHA-256 over prompt, arguments and target
};

// A token of the baseline's answer, teacher-forced.
struct TokenScore {
  float nll = 0, reference_nll = 0;  // under the policy, under the baseline
  float kld = 0;                     // KL(baseline || policy)
  float same_top = 0;                // 1: both find the same token most likely
};

struct FidelityRecord {
  uint64_t doc_id = 0;
  std::string prompt_key;  // of the policy's sample
  std::string answer;      // SHA-256 of the answer that was forced
  std::vector<TokenScore> tokens;
};

}  // namespace sluice
