// See progress_line.h.
#include "core/harness/progress_line.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/text.h"

namespace sluice {

void EvalProgressLine::Tally::add(const SampleRecord& sample) {
  samples++;
  stored += double(sample.stored_bytes), f16 += double(sample.f16_bytes);
  if (sample.filtered.empty() || sample.filtered[0].metrics.empty()) return;
  const Metric& metric = sample.filtered[0].metrics[0];
  if (!metric.weight) score.add(metric.value);
}

void EvalProgressLine::answered(const Tally& tally) {
  std::string label = fmt::format("{} {}/{}", tally.name, tally.samples, tally.total);
  if (tally.score.count() > 0) label += fmt::format(" acc {:.1f}", 100 * tally.score.mean());
  if (tally.score.count() > 1) label += fmt::format("±{:.1f}", 100 * tally.score.standard_error());
  line_.relabel(std::move(label));
  stored_ = tally.stored / double(tally.samples), f16_ = tally.f16 / double(tally.samples);
  samples_++;
  line_.advance(1, note());
}

void EvalProgressLine::stepped(uint64_t generated) {
  generated_ = generated;
  line_.advance(0, note());
}

std::string EvalProgressLine::note() const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  std::string note = generated_ > 0 ? fmt::format("{:.1f} tok/s", double(generated_) / seconds)
                                    : fmt::format("{:.2f} questions/s", double(samples_) / seconds);
  if (stored_ > 0)
    note += fmt::format("  KV {} ({:+.0f} %)", human_bytes(uint64_t(stored_)), 100 * (stored_ / f16_ - 1));
  return note;
}

}  // namespace sluice
