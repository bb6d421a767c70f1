// See significance.h.
#include "core/report/significance.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <random>
#include <vector>

#include "core/report/statistics.h"

namespace sluice {
namespace {

// log of the binomial coefficient's share: C(n, k) / 2^n.
double log_half_binomial(uint64_t n, uint64_t k) {
  return std::lgamma(double(n) + 1) - std::lgamma(double(k) + 1) - std::lgamma(double(n - k) + 1) -
         double(n) * std::log(2.0);
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  std::vector<std::string_view> words;
  for (size_t at = text.find_first_not_of(kSpaces); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpaces, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(kSpaces, end);
  }
  return words;
}

// Words of the tail that repeats with this period; 0 if it does so fewer than three times.
size_t tail_of_period(std::span<const std::string_view> words, size_t period) {
  size_t length = period;
  while (length < words.size() && words[words.size() - 1 - length] == words[words.size() - 1 - length + period])
    ++length;
  return length >= 3 * period ? length : 0;
}

size_t tail_words(std::span<const std::string_view> words, size_t longest) {
  size_t most = 0;
  for (size_t period = 1; period <= longest && 3 * period <= words.size(); ++period)
    most = std::max(most, tail_of_period(words, period));
  return most;
}

}  // namespace

double mean_stderr(std::span<const double> values) {
  RunningMean mean;
  for (const double value : values) mean.add(value);
  return mean.standard_error();
}

double pooled_stderr(std::span<const double> stderrs, std::span<const uint64_t> sizes) {
  assert(stderrs.size() == sizes.size());
  double sum = 0;
  uint64_t all = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    // A single document has no deviation, and no weight in the pool.
    if (sizes[i] > 1) sum += double(sizes[i] - 1) * stderrs[i] * stderrs[i] * double(sizes[i]);
    all += sizes[i];
  }
  if (all <= sizes.size()) return kUnknown;
  return std::sqrt(sum / double(all - sizes.size()) / double(all));
}

double unweighted_stderr(std::span<const double> stderrs) {
  double sum = 0;
  for (const double one : stderrs) sum += one * one;
  return stderrs.empty() ? kUnknown : std::sqrt(sum) / double(stderrs.size());
}

double weighted_mean(std::span<const double> means, std::span<const uint64_t> sizes) {
  assert(means.size() == sizes.size());
  double sum = 0;
  uint64_t all = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    sum += means[i] * double(sizes[i]);
    all += sizes[i];
  }
  return all == 0 ? kUnknown : sum / double(all);
}

double grouped_stderr(std::span<const double> sums, std::span<const uint64_t> sizes) {
  assert(sums.size() == sizes.size());
  if (sums.size() < 2) return kUnknown;
  double sum = 0, all = 0, squares = 0;
  for (size_t i = 0; i < sums.size(); ++i) sum += sums[i], all += double(sizes[i]);
  for (size_t i = 0; i < sums.size(); ++i) {
    const double residual = sums[i] - sum / all * double(sizes[i]);
    squares += residual * residual;
  }
  const auto groups = double(sums.size());
  return std::sqrt(groups / (groups - 1) * squares) / all;
}

Flips count_flips(std::span<const double> baseline, std::span<const double> scores) {
  assert(baseline.size() == scores.size());
  Flips flips;
  for (size_t i = 0; i < scores.size(); ++i) {
    const bool was = baseline[i] >= 0.5, is = scores[i] >= 0.5;
    flips.lost += was && !is;
    flips.won += !was && is;
  }
  return flips;
}

double mcnemar_p(const Flips& flips) {
  const uint64_t n = flips.lost + flips.won, fewer = std::min(flips.lost, flips.won);
  if (flips.lost == flips.won) return 1;
  double tail = 0;
  for (uint64_t k = 0; k <= fewer; ++k) tail += std::exp(log_half_binomial(n, k));
  return std::min(1.0, 2 * tail);
}

Interval bootstrap_difference(std::span<const double> baseline, std::span<const double> scores, uint64_t seed,
                              size_t rounds, double confidence) {
  assert(baseline.size() == scores.size());
  const size_t n = scores.size();
  if (n == 0 || rounds == 0) return {kUnknown, kUnknown};
  std::vector<double> differences(n), means(rounds);
  for (size_t i = 0; i < n; ++i) differences[i] = scores[i] - baseline[i];
  // The library's distributions differ between libraries; a share of 64 bits does not.
  std::mt19937_64 random(seed);
  for (double& mean : means) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += differences[size_t(double(random() >> 11) * 0x1p-53 * double(n))];
    mean = sum / double(n);
  }
  std::sort(means.begin(), means.end());
  return {percentile(means, (1 - confidence) / 2), percentile(means, (1 + confidence) / 2)};
}

Interval share_interval(uint64_t right, uint64_t n) {
  assert(right <= n);
  if (n == 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;  // the normal distribution's 97.5 %
  const double share = double(right) / double(n), z2 = kZ * kZ / double(n);
  const double centre = (share + z2 / 2) / (1 + z2);
  const double half = kZ * std::sqrt(share * (1 - share) / double(n) + z2 / (4 * double(n))) / (1 + z2);
  return {right == 0 ? 0 : centre - half, right == n ? 1 : centre + half};
}

bool at_floor(uint64_t right, uint64_t n, double chance) { return share_interval(right, n).low <= chance; }

double repeated_tail(std::string_view text, size_t longest) {
  const std::vector<std::string_view> words = words_of(text);
  return words.empty() ? 0 : double(tail_words(words, longest)) / double(words.size());
}

bool degenerate(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  const size_t tail = tail_words(words, 32);
  return tail >= 16 && 2 * tail >= words.size();
}

}  // namespace sluice
