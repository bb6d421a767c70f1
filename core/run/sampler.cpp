// See sampler.h: a draw that sorts only the tokens that can be drawn.
#include "core/run/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/report/statistics.h"

namespace sluice {
namespace {

// Next to the best token's weight of 1, a weight below this changes no sum: neither the total nor the mass that top-p
// compares with it.
constexpr double kVanishing = 0x1p-54;

float best_of(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  bool numbers = true;
  for (float x : logits) numbers &= x == x, best = std::max(best, x);
  if (!numbers || !std::isfinite(best))
    throw Error(
        "the model's logits are not finite numbers, so no token can be picked: its file is damaged or its values "
        "overflow",
        kExitFailed);
  return best;
}

}  // namespace

int32_t Sampler::pick(std::span<const float> logits) {
  const float best = best_of(logits);
  if (config_.temperature <= 0) return int32_t(argmax(logits));
  // What min-p cuts or what vanishes need not be sorted. The margin leaves the exact cut to the loop below.
  const double lowest = best + config_.temperature * (std::log(std::max<double>(config_.min_p, kVanishing)) - 1e-6);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++)
    if (logits[i] >= lowest) candidates_.push_back({logits[i], int32_t(i)});
  const size_t keep = config_.top_k ? std::min<size_t>(config_.top_k, candidates_.size()) : candidates_.size();
  auto better = [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  std::partial_sort(candidates_.begin(), candidates_.begin() + std::ptrdiff_t(keep), candidates_.end(), better);
  candidates_.resize(keep);
  // Probabilities relative to the best token's, cut where min-p or top-p say so.
  double total = 0;
  weights_.clear();
  for (const auto& [logit, id] : candidates_) {
    const double w = std::exp((double(logit) - best) / config_.temperature);
    if (w < config_.min_p) break;
    weights_.push_back(w);
    total += w;
  }
  double mass = 0;
  size_t count = 0;
  while (count < weights_.size()) {
    mass += weights_[count++];
    if (mass >= config_.top_p * total) break;
  }
  double draw = std::uniform_real_distribution<double>(0, mass)(random_);
  for (size_t i = 0; i < count; i++)
    if ((draw -= weights_[i]) <= 0) return candidates_[i].second;
  return candidates_[count - 1].second;
}

}  // namespace sluice
