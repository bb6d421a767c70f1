// sluice/rotation.hpp - a seeded orthonormal rotation of rows: random signs and a Hadamard transform, twice. It spreads
// what single channels hold over all of them in n log n additions. Optional, for codecs in C++; what is done with
// rotated rows is the codec's business.
#ifndef SLUICE_ROTATION_HPP
#define SLUICE_ROTATION_HPP

#include <cmath>
#include <cstdint>

namespace sluice {

// x -> M S1 M S0 x, where S0 and S1 flip signs and M is symmetric and its own inverse. For head_dim = m * 2^k with m
// odd, M is a Hadamard transform of each run of 2^k numbers and a reflection across the m runs. At most 256 channels.
struct Rotation {
  uint32_t head_dim = 0, run = 0;  // run: 2^k
  float signs[2][256];
};

inline Rotation make_rotation(uint32_t head_dim, uint64_t seed) {
  Rotation rotation;
  rotation.head_dim = head_dim;
  rotation.run = head_dim & (0u - head_dim);
  for (auto& signs : rotation.signs)
    for (uint32_t c = 0; c < head_dim; c++) {  // SplitMix64
      uint64_t z = seed += 0x9E3779B97F4A7C15u;
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
      z = (z ^ z >> 27) * 0x94D049BB133111EBu;
      signs[c] = z >> 63 ? -1.0f : 1.0f;
    }
  return rotation;
}

// x -> M x, in place.
inline void mix_channels(const Rotation& rotation, float* x) {
  const uint32_t d = rotation.head_dim, run = rotation.run;
  for (uint32_t half = 1; half < run; half *= 2)
    for (uint32_t first = 0; first < d; first += 2 * half)
      for (uint32_t c = first; c < first + half; c++) {
        const float a = x[c], b = x[c + half];
        x[c] = a + b;
        x[c + half] = a - b;
      }
  const float norm = 1 / std::sqrt(float(run));
  for (uint32_t c = 0; c < d; c++) x[c] *= norm;
  if (run == d) return;
  for (uint32_t c = 0; c < run; c++) {
    float sum = 0;
    for (uint32_t at = c; at < d; at += run) sum += x[at];
    sum *= 2.0f * float(run) / float(d);
    for (uint32_t at = c; at < d; at += run) x[at] -= sum;
  }
}

// One row, in place; rotate_back() undoes rotate() up to rounding.
inline void rotate(const Rotation& rotation, float* x) {
  for (const auto& signs : rotation.signs) {
    for (uint32_t c = 0; c < rotation.head_dim; c++) x[c] *= signs[c];
    mix_channels(rotation, x);
  }
}
inline void rotate_back(const Rotation& rotation, float* x) {
  for (int i : {1, 0}) {
    mix_channels(rotation, x);
    for (uint32_t c = 0; c < rotation.head_dim; c++) x[c] *= rotation.signs[i][c];
  }
}

}  // namespace sluice
#endif
