// Picks the next token from logits: the most likely one at temperature 0, otherwise a draw after top-k, top-p and
// min-p, from a generator seeded by the configuration.
#pragma once

#include <random>
#include <span>
#include <utility>
#include <vector>

#include "core/config/config.h"

namespace sluice {

class Sampler {
 public:
  explicit Sampler(const SamplerConfig& config) : config_(config), random_(config.seed) {}
  // Throws Error for logits of which none is finite and for NaN.
  int32_t pick(std::span<const float> logits);

 private:
  SamplerConfig config_;
  std::mt19937_64 random_;
  std::vector<std::pair<float, int32_t>> candidates_;  // (logit, id), best first
  std::vector<double> weights_;                        // of the candidates, relative to the best one's
};

}  // namespace sluice
