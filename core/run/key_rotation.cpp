// See key_rotation.h.
#include "core/run/key_rotation.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "sluice/policy.h"

namespace sluice {

KeyRotation::KeyRotation(const std::vector<float>& frequency)
    : frequency_(frequency), kernels_(sluice_kernels_best()) {}

// Angles as backends compute them: the product in double, or far positions would be off.
void KeyRotation::reserve(uint32_t positions) {
  const size_t pairs = frequency_.size();
  const size_t known = table_.size() / (2 * pairs);
  if (positions <= known) return;
  table_.resize(positions * 2 * pairs);
  for (size_t p = known; p < positions; p++)
    for (size_t i = 0; i < pairs; i++) {
      const double angle = double(p) * double(frequency_[i]);
      table_[(p * pairs + i) * 2] = float(std::cos(angle)), table_[(p * pairs + i) * 2 + 1] = float(std::sin(angle));
    }
}

void KeyRotation::turn(const KeyRows& rows) const {
  constexpr size_t kPiece = 64;  // numbers of a row that are floats at a time
  const size_t head_dim = 2 * frequency_.size();
  float x[kPiece];
  for (uint32_t r = 0; r < rows.count; r++) {
    const uint32_t slot = rows.first_slot + r;
    if (rows.slot_pos[slot] == SLUICE_FREE) continue;
    const size_t position = size_t(rows.ranks ? rows.ranks[slot] : slot) + rows.shift;
    assert((position + 1) * head_dim <= table_.size());
    const float* angles = &table_[position * head_dim];
    for (size_t first = 0; first < head_dim; first += kPiece) {
      const size_t n = std::min(kPiece, head_dim - first), at = r * head_dim + first;
      kernels_->from_half(n, rows.from + at, x);
      for (size_t i = 0; i < n; i += 2) {
        const float cosine = angles[first + i], sine = angles[first + i + 1], even = x[i], odd = x[i + 1];
        x[i] = even * cosine - odd * sine, x[i + 1] = even * sine + odd * cosine;
      }
      kernels_->to_half(n, x, rows.to + at);
    }
  }
}

}  // namespace sluice
