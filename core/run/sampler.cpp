#include "core/run/sampler.h"

#include <algorithm>
#include <cmath>

#include "core/report/statistics.h"

namespace sluice {

int32_t Sampler::pick(std::span<const float> logits) {
  if (config_.temperature <= 0) return int32_t(argmax(logits));
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); i++) candidates_.push_back({logits[i], int32_t(i)});
  const size_t keep = config_.top_k ? std::min<size_t>(config_.top_k, candidates_.size()) : candidates_.size();
  auto better = [](const auto& a, const auto& b) { return a.first > b.first || (a.first == b.first && a.second < b.second); };
  std::partial_sort(candidates_.begin(), candidates_.begin() + std::ptrdiff_t(keep), candidates_.end(), better);
  candidates_.resize(keep);
  // Probabilities relative to the best token's, cut where min-p or top-p say so.
  double total = 0;
  std::vector<double> weights;
  weights.reserve(keep);
  for (const auto& [logit, id] : candidates_) {
    const double w = std::exp((double(logit) - candidates_[0].first) / config_.temperature);
    if (w < config_.min_p) break;
    weights.push_back(w);
    total += w;
  }
  double mass = 0;
  size_t count = 0;
  while (count < weights.size()) {
    mass += weights[count++];
    if (mass >= config_.top_p * total) break;
  }
  double draw = std::uniform_real_distribution<double>(0, mass)(random_);
  for (size_t i = 0; i < count; i++)
    if ((draw -= weights[i]) <= 0) return candidates_[i].second;
  return candidates_[count - 1].second;
}

}  // namespace sluice
