// See samples.h.
#include "core/harness/samples.h"

#include <nlohmann/json.hpp>

#include "core/report/significance.h"
#include "core/report/statistics.h"
#include "core/tasks/parts.h"

namespace sluice {
namespace {

// The first text of the first request, or nothing.
std::string response_text(const std::string& responses) {
  const nlohmann::json json = nlohmann::json::parse(responses, nullptr, false);
  const nlohmann::json::json_pointer first("/0/0");
  return json.is_array() && json.contains(first) && json.at(first).is_string() ? json.at(first).get<std::string>() : "";
}

}  // namespace

ScoredSample scored_sample(const SampleRecord& sample, const RunInfo& info) {
  ScoredSample s;
  s.doc_id = sample.doc_id, s.key = sample.prompt_key();
  for (const MetricInfo& wanted : info.metrics) {
    s.values.push_back(kUnknown), s.weights.push_back(kUnknown), s.invalid.push_back(false);
    for (const Filtered& f : sample.filtered) {
      if (f.filter != wanted.filter) continue;
      for (const Metric& m : f.metrics)
        if (m.name == wanted.name) s.values.back() = m.value, s.weights.back() = m.weight.value_or(kUnknown);
      s.invalid.back() = info.generates &&
                         nlohmann::json::parse(f.responses, nullptr, false) == nlohmann::json::array({wanted.fallback});
    }
  }
  if (!info.parts.empty()) s.part = part_name(nlohmann::ordered_json::parse(sample.doc, nullptr, false), info.parts);
  s.tokens = sample.tokens;
  s.truncated = sample.ended_by == "limit";
  s.degenerate = info.generates && degenerate(response_text(sample.responses));
  s.too_short = sample.too_short, s.compressed = sample.compressed_before_scoring;
  s.kept_after_prompt = sample.kept_after_prompt, s.kept = sample.kept;
  s.prompt_tokens = sample.prompt_tokens;
  s.stored = sample.stored_bytes, s.f16 = sample.f16_bytes, s.peak = sample.peak_bytes;
  s.bytes = sample.bytes;
  return s;
}

}  // namespace sluice
