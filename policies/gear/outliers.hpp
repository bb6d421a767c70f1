// The sparse part of gear: which numbers of a vector are its extremes.
#pragma once

#include <cmath>
#include <cstdint>

namespace sluice {

// Numbers per tail of a vector of `length`: half of the share, rounded to nearest.
inline uint32_t tail_length(uint32_t length, double share) {
  return uint32_t(std::floor(double(length) * share / 2 + 0.5));
}

// Marks the `tail` largest of x[i * stride], i < length, and then the `tail` smallest of the rest, with mark[i *
// stride] = 1; of equal numbers those with the lower index. best[tail]: working memory. 2 * tail <= length.
inline void mark_extremes(uint32_t length, uint32_t tail, const float* x, uint8_t* mark, uint32_t stride,
                          uint32_t* best) {
  for (const float sign : {1.0f, -1.0f}) {
    uint32_t found = 0;  // best[0 .. found): the most extreme so far, best first
    for (uint32_t i = 0; i < length; i++) {
      const float value = sign * x[i * stride];
      if (found == tail && !(value > sign * x[best[tail - 1] * stride])) continue;
      if (mark[i * stride]) continue;
      uint32_t at = found < tail ? found++ : tail - 1;
      for (; at > 0 && value > sign * x[best[at - 1] * stride]; at--) best[at] = best[at - 1];
      best[at] = i;
    }
    for (uint32_t k = 0; k < tail; k++) mark[best[k] * stride] = 1;
  }
}

// Replaces the marked numbers by the mean of the others.
inline void fill_marked(uint32_t length, float* x, const uint8_t* mark, uint32_t stride) {
  double sum = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < length; i++)
    if (!mark[i * stride]) sum += x[i * stride], count++;
  const float mean = count > 0 ? float(sum / count) : 0.0f;
  for (uint32_t i = 0; i < length; i++)
    if (mark[i * stride]) x[i * stride] = mean;
}

}  // namespace sluice
