// The sparse part of gear at attention: outliers multiplied with up to four queries at a time, one per lane of a
// vector, so that each is looked up once. Which outliers there are is block.hpp's business.
#pragma once

#include <cstdint>
#include <cstring>

#include "sluice/affine.hpp"

namespace sluice {

// A number of each of four queries. One query alone takes a float instead: the same bits, fewer bytes.
typedef float FourFloats __attribute__((vector_size(16)));
constexpr uint32_t kSparseLanes = 4;

inline FourFloats in_every_lane(const FourFloats*, float x) { return FourFloats{x, x, x, x}; }
inline float in_every_lane(const float*, float x) { return x; }

// Outliers of consecutive rows of a chunk: count[r] of row first + r, one row's after the other's. Behind the last one
// `value` and `column` have kSparseSlots more that are 0.
struct SparseRows {
  uint32_t first, rows;
  const uint16_t* count;
  const float* value;
  const uint8_t* column;
};

// Outliers of a row that are multiplied whether they are there or not, since how many there are nobody can predict.
constexpr uint32_t kSparseSlots = 4;
constexpr float kSparseThere[kSparseSlots + 1][kSparseSlots] = {
    {0, 0, 0, 0}, {1, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 0}, {1, 1, 1, 1}};

// What a row's outliers add to its scores: the sum of q[column] * value, those in slots first.
template <uint32_t slots, class Lanes>
Lanes sparse_row(const Lanes* q, uint32_t count, const float* value, const uint8_t* column) {
  static_assert(slots == 2 || slots == kSparseSlots);
  const float* const there = kSparseThere[count < slots ? count : slots];
  Lanes sum = q[column[0]] * in_every_lane(q, value[0] * there[0]);
  sum += q[column[1]] * in_every_lane(q, value[1] * there[1]);
  if constexpr (slots > 2) {
    sum += q[column[2]] * in_every_lane(q, value[2] * there[2]);
    sum += q[column[3]] * in_every_lane(q, value[3] * there[3]);
  }
  for (uint32_t k = slots; k < count; k++) sum += q[column[k]] * in_every_lane(q, value[k]);
  return sum;
}

// sums[row] += for one query.
template <uint32_t slots>
void sparse_scores(const SparseRows& s, const float* q, float* sums) {
  const float* value = s.value;
  const uint8_t* column = s.column;
  for (uint32_t r = 0; r < s.rows; r++) {
    sums[s.first + r] += sparse_row<slots>(q, s.count[r], value, column);
    value += s.count[r], column += s.count[r];
  }
}

// sums[i * stride + row] += for queries i < n <= 4.
template <uint32_t slots>
void sparse_scores(const SparseRows& s, const FourFloats* q, uint32_t n, float* sums, size_t stride) {
  alignas(16) float of_rows[SLUICE_CHUNK][kSparseLanes];
  const float* value = s.value;
  const uint8_t* column = s.column;
  for (uint32_t r = 0; r < s.rows; r++) {
    const FourFloats sum = sparse_row<slots>(q, s.count[r], value, column);
    std::memcpy(of_rows[r], &sum, sizeof sum);
    value += s.count[r], column += s.count[r];
  }
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t r = 0; r < s.rows; r++) sums[i * stride + s.first + r] += of_rows[r][i];
}

// sum[copy][channel] += weight[row] * value. Successive outliers go to different copies, so that none waits for the one
// before it.
constexpr uint32_t kSparseCopies = 4;
template <class Lanes>
void sparse_mix(const SparseRows& s, const Lanes* weight, Lanes (*sum)[kMostChannels]) {
  const float* value = s.value;
  const uint8_t* column = s.column;
  for (uint32_t r = 0; r < s.rows; r++) {
    const Lanes w = weight[s.first + r];
    for (uint32_t k = 0; k < s.count[r]; k++) {
      Lanes& to = sum[(s.first + r + k * (kSparseCopies / 2)) % kSparseCopies][column[k]];
      to += w * in_every_lane(weight, value[k]);
    }
    value += s.count[r], column += s.count[r];
  }
}

}  // namespace sluice
