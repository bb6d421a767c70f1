// Picks the next token from logits: the most likely one at temperature 0, otherwise a draw after top-k, top-p and
// min-p, from a generator seeded by the configuration.
#pragma once

#include <random>
#include <span>
#include <vector>

#include "core/config/config.h"

namespace sluice {

class Sampler {
 public:
  explicit Sampler(const SamplerConfig& config) : config_(config), random_(config.seed) {}
  int32_t pick(std::span<const float> logits);

 private:
  SamplerConfig config_;
  std::mt19937_64 random_;
  std::vector<std::pair<float, int32_t>> candidates_;  // (logit, id), best first
};

}  // namespace sluice
