// Least-squares fits of a few numbers to a grid: the searches that all block formats share. A grid is d q + m with
// integer codes q in [lowest, highest]; formats and their packing are in the files beside this one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "sluice/half.h"

namespace sluice::quant {

// The largest finite F16 number bounds every scale, so that no value becomes infinite by being stored.
inline float round_to_half(float f) { return sluice_from_half(sluice_to_half(std::clamp(f, -65504.0f, 65504.0f))); }

// What a grid costs, and the sums a least-squares step needs.
struct Moments {
  float error = 0;  // sum of squared differences
  float q = 0, qq = 0, xq = 0;
};

struct Range {
  float lowest, highest;  // of the codes
};

using Float4 __attribute__((vector_size(16))) = float;

// Adding and subtracting 1.5 * 2^23 rounds a small number to the nearest integer, ties to even, in any vector unit.
inline constexpr float kRound = 12582912.0f;

inline float total(const Float4& v) { return (v[0] + v[2]) + (v[1] + v[3]); }

// x[n] against the grid (d, m), every number with its nearest code. n is a multiple of 4.
inline Moments measure(const float* x, size_t n, float d, float m, Range range) {
  const float inverse = d != 0 ? 1 / d : 0;
  Float4 error{}, sum_q{}, sum_qq{}, sum_xq{};
  const Float4 lowest = {range.lowest, range.lowest, range.lowest, range.lowest};
  const Float4 highest = {range.highest, range.highest, range.highest, range.highest};
  for (size_t i = 0; i < n; i += 4) {
    const Float4 v = {x[i], x[i + 1], x[i + 2], x[i + 3]};
    Float4 q = (v - m) * inverse;
    q = q < lowest ? lowest : q;
    q = q > highest ? highest : q;
    q = (q + kRound) - kRound;
    const Float4 miss = v - (d * q + m);
    error += miss * miss;
    sum_q += q;
    sum_qq += q * q;
    sum_xq += v * q;
  }
  return {total(error), total(sum_q), total(sum_qq), total(sum_xq)};
}

// The codes that measure() assumed, minus the lowest: 0, 1, ...
inline void encode(const float* x, size_t n, float d, float m, Range range, uint8_t* codes) {
  const float inverse = d != 0 ? 1 / d : 0;
  for (size_t i = 0; i < n; ++i) {
    const float q = std::clamp((x[i] - m) * inverse, range.lowest, range.highest);
    codes[i] = uint8_t(int32_t((q + kRound) - kRound) - int32_t(range.lowest));
  }
}

struct Grid {
  float d = 0, m = 0;
  float error = 0;
};

// The number of largest magnitude, with its sign.
inline float extreme(const float* x, size_t n) {
  float best = 0;
  for (size_t i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}

// Whether scales are stored as F16 (32-blocks), or left exact because they are rounded together later (super-blocks).
enum class Scale { kHalf, kExact };

template <Scale scale>
float stored(float f) {
  if constexpr (scale == Scale::kHalf) return round_to_half(f);
  return std::fabs(f) < 1e-30f ? 0 : f;  // far below any F16 number; its inverse must stay finite
}

// x ~ d q. Each start puts the extreme number on code `start` (not necessarily an integer); the best is then refined:
// codes for the scale, the scale that fits these codes best, and again while that helps.
template <Scale scale>
Grid fit_symmetric(const float* x, size_t n, Range range, std::initializer_list<float> starts) {
  const float top = extreme(x, n);
  Grid best;
  if (top == 0) return best;
  Moments moments;
  bool found = false;
  const auto consider = [&](float d) {
    d = stored<scale>(d);
    if (d == 0) return false;
    const Moments now = measure(x, n, d, 0, range);
    if (found && !(now.error < best.error)) return false;
    found = true;
    best = {d, 0, now.error};
    moments = now;
    return true;
  };
  for (const float start : starts) consider(top / start);
  if (!found) {  // smaller than any scale: the zero grid
    best.error = measure(x, n, 0, 0, range).error;
    return best;
  }
  for (int step = 0; step < 6 && best.error > 0 && moments.qq > 0; ++step) {
    if (!consider(moments.xq / moments.qq)) break;
  }
  return best;
}

// Which offsets a format can store.
enum class Offset { kAny, kNotPositive, kNotNegative };

// x ~ d q + m with q = 0 .. highest. Each start takes the whole spread of the numbers for that many steps, beginning
// at the least (or at 0 where the offset may not have its sign); more steps than there are codes clip.
template <Scale scale>
Grid fit_affine(const float* x, size_t n, float highest, Offset offset, std::initializer_list<float> starts) {
  const auto allowed = [&](float m) {
    return offset == Offset::kAny ? m : offset == Offset::kNotPositive ? std::min(m, 0.0f) : std::max(m, 0.0f);
  };
  float least = x[0], most = x[0], sum = 0;
  for (size_t i = 0; i < n; ++i) {
    least = std::min(least, x[i]);
    most = std::max(most, x[i]);
    sum += x[i];
  }
  const Range range{0, highest};
  // The constant grid, for numbers that are all alike or smaller than any scale.
  Grid best{0, stored<scale>(allowed(sum / float(n))), 0};
  Moments moments = measure(x, n, 0, best.m, range);
  best.error = moments.error;
  const auto consider = [&](float d, float m) {
    d = stored<scale>(d);
    m = stored<scale>(m);
    if (!(d > 0)) return false;
    const Moments now = measure(x, n, d, m, range);
    if (!(now.error < best.error)) return false;
    best = {d, m, now.error};
    moments = now;
    return true;
  };
  const float from = allowed(least), spread = most - from;
  for (const float start : starts) {
    const float d = spread / start;
    // What is clipped is clipped half below and half above.
    consider(d, allowed(start > highest ? from + (spread - d * highest) / 2 : from));
  }
  for (int step = 0; step < 6 && best.error > 0; ++step) {
    const float determinant = float(n) * moments.qq - moments.q * moments.q;
    if (!(determinant > 0)) break;
    float d = (float(n) * moments.xq - moments.q * sum) / determinant;
    const float m = (sum - d * moments.q) / float(n);
    if (allowed(m) != m) {
      if (!(moments.qq > 0)) break;
      d = moments.xq / moments.qq;  // the offset stays 0
    }
    if (!consider(d, allowed(m))) break;
  }
  return best;
}

}  // namespace sluice::quant
