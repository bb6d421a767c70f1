// The sparse part of gear: which numbers of a vector are its extremes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sluice {

// Numbers per tail of a vector of `length`: half of the share, rounded to nearest.
inline uint32_t tail_length(uint32_t length, double share) {
  return uint32_t(std::floor(double(length) * share / 2 + 0.5));
}

// The `tail` largest of x[length], of equal ones those with the lower index, without those that mark[] names already:
// marks them. order[length]: working memory.
inline void mark_largest(uint32_t length, uint32_t tail, const float* x, uint8_t* mark, uint32_t* order) {
  const auto before = [&](uint32_t i, uint32_t j) { return x[i] > x[j] || (x[i] == x[j] && i < j); };
  uint32_t found = 0;  // order[0 .. found): the largest so far, largest first
  if (tail > 64) {
    for (uint32_t i = 0; i < length; i++)
      if (!mark[i]) order[found++] = i;
    std::nth_element(order, order + tail - 1, order + found, before);
  } else {
    constexpr uint32_t kStride = 16;  // numbers that one look dismisses
    for (uint32_t first = 0; first < length; first += kStride) {
      const uint32_t end = std::min(first + kStride, length);
      if (found == tail && end - first == kStride) {
        const float least = x[order[tail - 1]];
        uint32_t above = 0;
        for (uint32_t j = 0; j < kStride; j++) above |= x[first + j] > least;
        if (above == 0) continue;
      }
      for (uint32_t i = first; i < end; i++) {
        if (mark[i] || (found == tail && !(x[i] > x[order[tail - 1]]))) continue;
        uint32_t at = found < tail ? found++ : tail - 1;
        for (; at > 0 && x[i] > x[order[at - 1]]; at--) order[at] = order[at - 1];
        order[at] = i;
      }
    }
  }
  for (uint32_t k = 0; k < tail; k++) mark[order[k]] = 1;
}

// Marks the `tail` largest of x[length] and then the `tail` smallest of the rest. Returns the mean of the others, 0 if
// none is left. x is negated on return. 2 * tail <= length; order[length]: working memory.
inline float mark_extremes(uint32_t length, uint32_t tail, float* x, uint8_t* mark, uint32_t* order) {
  std::fill_n(mark, length, uint8_t(0));
  mark_largest(length, tail, x, mark, order);
  for (uint32_t i = 0; i < length; i++) x[i] = -x[i];
  mark_largest(length, tail, x, mark, order);
  double sum = 0;
  for (uint32_t i = 0; i < length; i++) sum -= mark[i] ? 0.0 : double(x[i]);
  return length > 2 * tail ? float(sum / (length - 2 * tail)) : 0.0f;
}

}  // namespace sluice
