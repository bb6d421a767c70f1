// The low-rank part of gear: the best rank-r approximation of a residual, by seeded subspace iteration with a few
// directions more than asked for, from which a small eigenproblem takes the best r.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sluice/kernels.h"

namespace sluice {

constexpr uint32_t kMostRank = 16;

// Directions that are iterated for a rank: at least four more, in whole vectors.
constexpr uint32_t directions(uint32_t rank) { return (rank + 4 + 7) / 8 * 8; }

// Floats of working memory.
constexpr size_t low_rank_floats(uint32_t rows, uint32_t cols, uint32_t rank) {
  return 2 * size_t(directions(rank)) * (rows + cols);
}

// What was asked for, and what was found. a and b are half floats whose columns share the magnitude evenly.
struct LowRank {
  uint32_t rank;       // of the result: min(rank asked for, rows, cols), 0 if the residual is 0
  double total, part;  // squared Frobenius norms of the residual and of the approximation
};

// residual: float [rows][cols]; a: [rank][rows]; b: [rank][cols], such that residual ~ transposed a * b.
LowRank approximate(const sluice_kernels& kernels, uint32_t rows, uint32_t cols, const float* residual, uint32_t rank,
                    uint32_t loops, uint64_t seed, float* work, uint16_t* a, uint16_t* b);

}  // namespace sluice
