// What codecs should compute, written from their definition: slowly, in double, one number at a time, and sharing
// nothing with the codecs. Only the quantizer's own arithmetic is in float, since its definition says so.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace sluice::testing::reference {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;  // [rows][columns]

// The nearest half float, ties to even.
inline double half(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(x), -14) - 10);
  const double rounded = std::nearbyint(x / quantum) * quantum;
  return std::fabs(rounded) > 65504 ? std::copysign(INFINITY, x) : rounded;
}

struct Quantized {
  double scale = 0, zero = 0;
  std::vector<int> codes;
  Vector restored;
};

// One vector with one pair.
inline Quantized quantize(const Vector& x, uint32_t bits) {
  const int levels = (1 << bits) - 1;
  const auto low = float(*std::min_element(x.begin(), x.end())), high = float(*std::max_element(x.begin(), x.end()));
  const auto scale = float(half((high - low) / float(levels))), zero = float(half(low));
  Quantized q{scale, zero, {}, {}};
  for (double v : x) {
    const float code = scale == 0 ? 0 : std::nearbyint((float(v) - zero) / scale);
    q.codes.push_back(int(std::min(std::max(code, 0.0f), float(levels))));
    q.restored.push_back(q.codes.back() * double(scale) + double(zero));
  }
  return q;
}

struct Backbone {
  Matrix restored;
  std::vector<std::vector<int>> codes;
};

// Tiles of tile_rows x tile_columns numbers share a pair.
inline Backbone quantize_tiles(const Matrix& x, uint32_t bits, size_t tile_rows, size_t tile_columns) {
  Backbone result{x, std::vector<std::vector<int>>(x.size(), std::vector<int>(x[0].size()))};
  for (size_t r0 = 0; r0 < x.size(); r0 += tile_rows)
    for (size_t c0 = 0; c0 < x[0].size(); c0 += tile_columns) {
      const size_t r1 = std::min(r0 + tile_rows, x.size()), c1 = std::min(c0 + tile_columns, x[0].size());
      Vector tile;
      for (size_t r = r0; r < r1; r++)
        tile.insert(tile.end(), x[r].begin() + ptrdiff_t(c0), x[r].begin() + ptrdiff_t(c1));
      const Quantized q = quantize(tile, bits);
      for (size_t r = r0, k = 0; r < r1; r++)
        for (size_t c = c0; c < c1; c++, k++) result.restored[r][c] = q.restored[k], result.codes[r][c] = q.codes[k];
    }
  return result;
}

// K of `group` shares pairs along a channel, V along a token.
inline Backbone quantize_group(const Matrix& x, uint32_t bits, bool key, size_t group) {
  return key ? quantize_tiles(x, bits, group, 1) : quantize_tiles(x, bits, 1, group);
}

inline Matrix transposed(const Matrix& x) {
  Matrix t(x[0].size(), Vector(x.size()));
  for (size_t r = 0; r < x.size(); r++)
    for (size_t c = 0; c < x[0].size(); c++) t[c][r] = x[r][c];
  return t;
}

// Which entries of a vector are outliers: the k largest, then the k smallest of the rest, lower index first.
inline std::vector<char> extremes(const Vector& x, double share) {
  const auto k = size_t(std::floor(double(x.size()) * share / 2 + 0.5));
  std::vector<char> marked(x.size(), 0);
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return x[i] > x[j]; });
  for (size_t i = 0; i < k; i++) marked[order[i]] = 1;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return x[i] < x[j]; });
  for (size_t i = 0, found = 0; found < k; i++)
    if (!marked[order[i]]) marked[order[i]] = 1, found++;
  return marked;
}

struct Gear {
  std::vector<std::vector<char>> outlier;
  Matrix restored, residual;  // of the backbone; the residual is 0 at outliers
};

inline Gear gear(const Matrix& x, uint32_t bits, bool key, bool grouped, size_t group, double share) {
  const bool columns = key && grouped;
  Matrix vectors = columns ? transposed(x) : x;
  Matrix marks;
  for (Vector& v : vectors) {
    const std::vector<char> marked = extremes(v, share);
    double sum = 0, count = 0;
    for (size_t i = 0; i < v.size(); i++)
      if (!marked[i]) sum += v[i], count++;
    for (size_t i = 0; i < v.size(); i++)
      if (marked[i]) v[i] = count > 0 ? double(float(sum / count)) : 0;
    marks.emplace_back(marked.begin(), marked.end());
  }
  const Matrix filled = columns ? transposed(vectors) : vectors;
  if (columns) marks = transposed(marks);
  Gear g;
  g.restored =
      (grouped ? quantize_group(filled, bits, key, group) : quantize_tiles(filled, bits, 1, x[0].size())).restored;
  g.residual = x;
  for (size_t r = 0; r < x.size(); r++) {
    g.outlier.emplace_back(marks[r].begin(), marks[r].end());
    for (size_t c = 0; c < x[0].size(); c++) g.residual[r][c] = marks[r][c] != 0 ? 0 : x[r][c] - g.restored[r][c];
  }
  return g;
}

inline double squares(const Matrix& x) {
  double sum = 0;
  for (const Vector& row : x)
    for (double v : row) sum += v * v;
  return sum;
}

// Squared singular values, largest first, by one-sided Jacobi rotations of the columns.
inline Vector singular_squares(Matrix x) {
  x = transposed(x);  // rows are now the columns to be made orthogonal
  const auto product = [&](size_t i, size_t j) {
    return std::inner_product(x[i].begin(), x[i].end(), x[j].begin(), 0.0);
  };
  for (int sweep = 0; sweep < 30; sweep++) {
    double turned = 0;
    for (size_t i = 0; i < x.size(); i++)
      for (size_t j = i + 1; j < x.size(); j++) {
        const double a = product(i, i), b = product(j, j), c = product(i, j);
        if (std::fabs(c) <= 1e-14 * std::sqrt(a * b) || c == 0) continue;
        turned = std::max(turned, std::fabs(c) / std::sqrt(a * b));
        const double zeta = (b - a) / (2 * c),
                     t = (zeta >= 0 ? 1 : -1) / (std::fabs(zeta) + std::sqrt(1 + zeta * zeta));
        const double cosine = 1 / std::sqrt(1 + t * t), sine = cosine * t;
        for (size_t k = 0; k < x[i].size(); k++) {
          const double u = x[i][k], v = x[j][k];
          x[i][k] = cosine * u - sine * v, x[j][k] = sine * u + cosine * v;
        }
      }
    if (turned < 1e-12) break;
  }
  Vector values;
  for (size_t i = 0; i < x.size(); i++) values.push_back(product(i, i));
  std::sort(values.rbegin(), values.rend());
  return values;
}

// What the best approximation of a rank leaves over, squared, given singular_squares().
inline double beyond_rank(const Vector& values, size_t rank) {
  return rank >= values.size() ? 0 : std::accumulate(values.begin() + ptrdiff_t(rank), values.end(), 0.0);
}

}  // namespace sluice::testing::reference
