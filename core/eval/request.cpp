// See request.h.
#include "core/eval/request.h"

#include <algorithm>

namespace sluice {

std::optional<uint32_t> first_divergence(std::span<const int32_t> baseline, std::span<const int32_t> tokens) {
  const auto [a, b] = std::mismatch(baseline.begin(), baseline.end(), tokens.begin(), tokens.end());
  if (a == baseline.end() && b == tokens.end()) return std::nullopt;
  return uint32_t(a - baseline.begin());
}

}  // namespace sluice
