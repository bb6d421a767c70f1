// See rope_scaling.h. Computed in double and rounded once, so that long contexts lose nothing to the powers.
#include "core/model/rope_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace sluice {
namespace {

// Llama 3.1's rule: wavelengths are compared with the context the model was first trained on.
double llama3_divisor(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double turns = scaling.original_context / wavelength;  // within the original context
  if (turns > scaling.high_frequency_factor) return 1;
  if (turns < scaling.low_frequency_factor) return scaling.factor;
  const double kept = (turns - scaling.low_frequency_factor) /
                      (scaling.high_frequency_factor - scaling.low_frequency_factor);  // 0: slow, 1: fast
  return 1 / ((1 - kept) / scaling.factor + kept);
}

}  // namespace

std::vector<float> rope_frequencies(double theta, uint32_t head_dim, const RopeScaling& scaling) {
  assert(scaling.kind != RopeScaling::Kind::kFactors || scaling.factors.size() == head_dim / 2);
  std::vector<float> frequencies(head_dim / 2);
  for (uint32_t i = 0; i < head_dim / 2; i++) {
    const double plain = std::pow(theta, -2.0 * i / head_dim);
    double divisor = 1;
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
        break;
      case RopeScaling::Kind::kLinear:
        divisor = scaling.factor;
        break;
      case RopeScaling::Kind::kLlama3:
        divisor = llama3_divisor(plain, scaling);
        break;
      case RopeScaling::Kind::kFactors:
        divisor = scaling.factors[i];
        break;
    }
    frequencies[i] = float(plain / divisor);
  }
  return frequencies;
}

std::string describe(const RopeScaling& scaling) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      return "none";
    case RopeScaling::Kind::kLinear:
      return fmt::format("linear x{:g}", scaling.factor);
    case RopeScaling::Kind::kLlama3:
      return fmt::format("llama3 x{:g}", scaling.factor);
    case RopeScaling::Kind::kFactors:
      return fmt::format("llama3 x{:g}", *std::max_element(scaling.factors.begin(), scaling.factors.end()));
  }
  return "none";
}

}  // namespace sluice
