// See low_rank.hpp. Vectors of one direction are contiguous where they are made orthonormal, and eight directions
// stand side by side where they meet the residual.
#include "low_rank.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

constexpr uint32_t kMostDirections = directions(kMostRank);

// Number `counter` of the stream `seed`, uniform in [-1, 1): a counter-based generator (SplitMix64's finisher), so
// that every number can be made anywhere in any order.
float random_number(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return float(int32_t(uint32_t(z >> 32))) * 0x1p-31f;
}

// x[rows][cols] -> y[cols][rows]
void transpose(uint32_t rows, uint32_t cols, const float* x, float* y) {
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t c = 0; c < cols; c++) y[size_t(c) * rows + r] = x[size_t(r) * cols + c];
}

// Gram-Schmidt, each vector twice, on v[count][n]. What depends on earlier vectors becomes 0.
void orthonormalize(const sluice_kernels& kernels, uint32_t count, uint32_t n, float* v) {
  for (uint32_t j = 0; j < count; j++) {
    float* vj = v + size_t(j) * n;
    const float before = std::sqrt(kernels.inner(n, vj, vj));
    for (int pass = 0; pass < 2; pass++)
      for (uint32_t k = 0; k < j; k++) {
        const float* vk = v + size_t(k) * n;
        kernels.axpy(n, -kernels.inner(n, vk, vj), vk, vj);
      }
    const float norm = std::sqrt(kernels.inner(n, vj, vj));
    const float factor = norm > 1e-5f * before ? 1 / norm : 0;
    for (uint32_t i = 0; i < n; i++) vj[i] *= factor;
  }
}

// Jacobi's rotations: m[n][n], symmetric, becomes diagonal; the columns of v[n][n] are its eigenvectors.
void diagonalize(uint32_t n, double m[][kMostDirections], double v[][kMostDirections]) {
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = 0; j < n; j++) v[i][j] = i == j;
  for (int sweep = 0; sweep < 16; sweep++) {
    double off = 0, diagonal = 0;
    for (uint32_t i = 0; i < n; i++) {
      diagonal += m[i][i] * m[i][i];
      for (uint32_t j = 0; j < i; j++) off += m[i][j] * m[i][j];
    }
    if (off <= 1e-16 * diagonal) return;
    for (uint32_t p = 0; p < n; p++)
      for (uint32_t q = p + 1; q < n; q++) {
        if (m[p][q] == 0) continue;
        const double theta = (m[q][q] - m[p][p]) / (2 * m[p][q]);
        const double t = std::copysign(1 / (std::fabs(theta) + std::sqrt(theta * theta + 1)), theta);
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (uint32_t k = 0; k < n; k++) {
          const double kp = m[k][p], kq = m[k][q];
          m[k][p] = c * kp - s * kq, m[k][q] = s * kp + c * kq;
        }
        for (uint32_t k = 0; k < n; k++) {
          const double pk = m[p][k], qk = m[q][k];
          m[p][k] = c * pk - s * qk, m[q][k] = s * pk + c * qk;
        }
        for (uint32_t k = 0; k < n; k++) {
          const double kp = v[k][p], kq = v[k][q];
          v[k][p] = c * kp - s * kq, v[k][q] = s * kp + c * kq;
        }
      }
  }
}

float largest(uint32_t n, const float* x) {
  float most = 0;
  for (uint32_t i = 0; i < n; i++) most = std::max(most, std::fabs(x[i]));
  return most;
}

// sum[n] = the sum of weight[k][column] * v[k], v[count][n]
void combine(const sluice_kernels& kernels, uint32_t count, uint32_t n, const double weight[][kMostDirections],
             uint32_t column, const float* v, float* sum) {
  std::fill_n(sum, n, 0.0f);
  for (uint32_t k = 0; k < count; k++) kernels.axpy(n, float(weight[k][column]), v + size_t(k) * n, sum);
}

}  // namespace

LowRank approximate(const sluice_kernels& kernels, uint32_t rows, uint32_t cols, const float* residual, uint32_t rank,
                    uint32_t loops, uint64_t seed, float* work, uint16_t* a, uint16_t* b) {
  LowRank result{std::min({rank, rows, cols}), 0, 0};
  for (uint32_t r = 0; r < rows; r++) {
    const float* row = residual + size_t(r) * cols;
    result.total += double(kernels.inner(cols, row, row));
  }
  if (result.rank == 0 || !(result.total > 0)) return {0, result.total, 0};

  const uint32_t width = directions(rank);
  float* const q = work;                                // [width][rows]
  float* const p = q + size_t(width) * rows;            // [width][cols]
  float* const side_q = p + size_t(width) * cols;       // [rows][width]
  float* const side_p = side_q + size_t(width) * rows;  // [cols][width]
  for (size_t i = 0; i < size_t(width) * cols; i++) p[i] = random_number(seed, i);
  for (uint32_t loop = 0; loop < loops; loop++) {
    orthonormalize(kernels, width, cols, p);
    transpose(width, cols, p, side_p);
    kernels.project(rows, cols, width, residual, side_p, side_q);
    if (loop + 1 == loops) {
      transpose(rows, width, side_q, q);
      orthonormalize(kernels, width, rows, q);
      transpose(width, rows, q, side_q);
    }
    kernels.project_back(rows, cols, width, residual, side_q, side_p);
    transpose(cols, width, side_p, p);
  }

  // Now q is orthonormal and q p is the residual's projection on it. The eigenvectors of p's Gram matrix turn q so that
  // the first directions hold most.
  double gram[kMostDirections][kMostDirections], turn[kMostDirections][kMostDirections];
  for (uint32_t i = 0; i < width; i++)
    for (uint32_t j = 0; j <= i; j++)
      gram[i][j] = gram[j][i] = double(kernels.inner(cols, p + size_t(i) * cols, p + size_t(j) * cols));
  diagonalize(width, gram, turn);
  uint32_t order[kMostDirections];
  for (uint32_t i = 0; i < width; i++) order[i] = i;
  // No stable_sort: it allocates, and encode() may not.
  std::sort(order, order + width,
            [&](uint32_t i, uint32_t j) { return gram[i][i] != gram[j][j] ? gram[i][i] > gram[j][j] : i < j; });

  for (uint32_t j = 0; j < result.rank; j++) {
    result.part += std::max(gram[order[j]][order[j]], 0.0);
    float *token = side_q, *channel = side_p;
    combine(kernels, width, rows, turn, order[j], q, token);
    combine(kernels, width, cols, turn, order[j], p, channel);
    // A power of two moves magnitude from one factor to the other without rounding, so that both fit half floats.
    const float of_token = largest(rows, token), of_channel = largest(cols, channel);
    if (of_token > 0 && of_channel > 0) {
      const int half_way = (std::ilogb(of_channel) - std::ilogb(of_token)) / 2;
      for (uint32_t r = 0; r < rows; r++) token[r] = std::ldexp(token[r], half_way);
      for (uint32_t c = 0; c < cols; c++) channel[c] = std::ldexp(channel[c], -half_way);
    }
    kernels.to_half(rows, token, a + size_t(j) * rows);
    kernels.to_half(cols, channel, b + size_t(j) * cols);
  }
  return result;
}

}  // namespace sluice
