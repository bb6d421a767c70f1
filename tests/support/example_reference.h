// What tests of the example evictors share: running windows and pooled scores in double and by position, as their
// formulas have them, and what it means that float arithmetic chose the lowest.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/plugins/interfaces.h"
#include "tests/support/evictor_driver.h"

namespace sluice::testing {

using Scores = std::map<uint32_t, double>;  // of live tokens, by position

// The attention of the last queries to one lane: see sluice/attention.h.
struct ReferenceWindow {
  uint32_t window = 1, seen = 0;
  Scores newer{}, older{};

  void insert(uint32_t first, uint32_t n) {
    for (uint32_t p = first; p < first + n; p++) newer[p] = older[p] = 0;
  }
  void observe(uint32_t queries, const std::function<float(uint32_t)>& attention) {
    const bool whole = queries >= window, turn = 2 * seen >= window;
    for (auto& [position, sum] : newer) {
      if (whole)
        older[position] = 0;
      else if (turn)
        older[position] = sum;
      sum = double(attention(position)) + (whole || turn ? 0 : sum);
    }
    seen = whole ? window : turn ? queries : seen + queries;
  }
  void erase(uint32_t position) { newer.erase(position), older.erase(position); }
  Positions live() const {
    Positions positions;
    for (const auto& [position, sum] : newer) positions.push_back(position);
    return positions;
  }
  double of(uint32_t position) const { return newer.at(position) + older.at(position); }

  // Of all tokens but the newest `keep`.
  Scores pooled(uint32_t keep, uint32_t kernel, bool peak) const {
    Positions candidates = live();
    candidates.resize(candidates.size() - std::min<size_t>(keep, candidates.size()));
    const auto half = int64_t(kernel / 2), n = int64_t(candidates.size());
    Scores scores;
    for (int64_t i = 0; i < n; i++) {
      double sum = 0, most = 0;
      for (int64_t j = std::max<int64_t>(i - half, 0); j <= std::min(i + half, n - 1); j++) {
        const double x = of(candidates[size_t(j)]);
        sum += x, most = std::max(most, x);
      }
      scores[candidates[size_t(i)]] = peak ? most : sum / kernel;
    }
    return scores;
  }
};

// The n lowest, of equal ones the oldest.
inline std::set<uint32_t> lowest(const Scores& scores, size_t n) {
  std::vector<std::pair<double, uint32_t>> list;
  for (const auto& [position, score] : scores) list.push_back({score, position});
  std::sort(list.begin(), list.end());
  std::set<uint32_t> positions;
  for (size_t i = 0; i < n; i++) positions.insert(list.at(i).second);
  return positions;
}

// Every victim is a candidate whose true score exceeds the true n-th lowest by no more than `slack`.
inline void expect_lowest(const Scores& scores, const Positions& victims, double slack) {
  if (victims.empty()) return;
  const std::set<uint32_t> best = lowest(scores, victims.size());
  double limit = -INFINITY;
  for (uint32_t p : best) limit = std::max(limit, scores.at(p));
  for (uint32_t p : victims) {
    ASSERT_TRUE(scores.count(p)) << "position " << p << " may not leave";
    ASSERT_LE(scores.at(p), limit + slack) << "position " << p;
  }
}

// Multiples of 1/256 below 1: sums of a few are exact in float.
inline float exact_share(uint64_t step, uint32_t lane, uint32_t position) {
  return std::floor(256 * noise(step, lane, position)) / 256;
}

// NULL: it has no budgets of its own.
inline const sluice_evictor_budget* budgets_of(const Instance& evictor) {
  return static_cast<const sluice_evictor_budget*>(find_extension(evictor.module(), SLUICE_EVICTOR_BUDGET).table);
}

// As the driver has rows of layer 0, unless it is told otherwise.
inline float noisy_row(uint32_t head, uint32_t side, uint32_t position, uint32_t c) {
  return 2 * noise(0, (2 * head + side) * 4096 + c, position) - 1;
}
inline std::vector<double> row_of(uint32_t head, uint32_t side, uint32_t position) {
  std::vector<double> row(kGeometry.head_dim);
  for (uint32_t c = 0; c < row.size(); c++) row[c] = double(noisy_row(head, side, position, c));
  return row;
}
inline double inner(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
inline double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  return inner(a, b) / std::sqrt(inner(a, a) * inner(b, b));
}

}  // namespace sluice::testing
