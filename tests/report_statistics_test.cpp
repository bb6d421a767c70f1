// Divergences, likelihoods and summaries against slow references in long double.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>

#include "core/report/statistics.h"

namespace sluice {
namespace {

constexpr double kEpsilon = 0x1p-53;
using Wide = long double;

std::vector<float> random_logits(size_t n, uint64_t seed, float scale) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
}

Wide slow_log_sum(const std::vector<float>& logits) {
  const Wide peak = *std::max_element(logits.begin(), logits.end());
  Wide sum = 0;
  for (const float x : logits) sum += std::exp(Wide(x) - peak);
  return peak + std::log(sum);
}

struct SlowKl {
  Wide kl = 0, magnitude = 0;
};
SlowKl slow_kl(const std::vector<float>& base, const std::vector<float>& other) {
  const Wide lb = slow_log_sum(base), lo = slow_log_sum(other);
  SlowKl result;
  for (size_t i = 0; i < base.size(); ++i) {
    const Wide p = std::exp(Wide(base[i]) - lb);
    result.kl += p * ((Wide(base[i]) - lb) - (Wide(other[i]) - lo));
    result.magnitude += p * std::fabs(Wide(base[i]) - Wide(other[i]));
  }
  result.magnitude += std::fabs(lb) + std::fabs(lo);
  return result;
}

// Each of the terms carries a relative error of some units (exp, product), and a sum of n terms in chains of n / 8
// loses at most n / 8 + 8 units of what passes through it.
double allowed(size_t n, Wide magnitude) { return double((Wide(n) / 8 + 16) * kEpsilon * magnitude); }

class Sizes : public ::testing::TestWithParam<size_t> {};

TEST_P(Sizes, AgreeWithTheSlowReference) {
  const size_t n = GetParam();
  for (const float scale : {0.01f, 1.0f, 5.0f, 60.0f}) {
    const auto base = random_logits(n, 7 * n + 1, scale);
    auto other = base;
    const auto noise = random_logits(n, 11 * n + 3, scale * 0.2f);
    for (size_t i = 0; i < n; ++i) other[i] += noise[i];
    const Wide lse = slow_log_sum(base);
    EXPECT_NEAR(log_sum_exp(base), double(lse), allowed(n, 1 + std::fabs(lse))) << n << " " << scale;
    const auto slow = slow_kl(base, other);
    EXPECT_NEAR(kl_divergence(base, other), double(slow.kl), allowed(n, slow.magnitude)) << n << " " << scale;
    const uint32_t target = uint32_t(n / 2);
    EXPECT_NEAR(negative_log_likelihood(base, target), double(lse - base[target]), allowed(n, 1 + std::fabs(lse)));

    LogProbs reference;
    reference.set(base);
    const auto score = score_position(reference, other, target);
    EXPECT_EQ(score.kld, kl_divergence(base, other));
    EXPECT_NEAR(score.nll, double(slow_log_sum(other) - other[target]), allowed(n, 1 + std::fabs(slow_log_sum(other))));
    EXPECT_EQ(score.top, uint32_t(std::max_element(other.begin(), other.end()) - other.begin()));
    EXPECT_EQ(score.same_top, score.top == reference.top());
    EXPECT_EQ(score.reference_nll, reference.nll(target));
    EXPECT_EQ(reference.top(), argmax(base));
    EXPECT_NEAR(reference.nll(target), double(lse - base[target]), allowed(n, 1 + std::fabs(lse)));
    for (size_t i = 0; i < n; ++i) {
      const double p = double(std::exp(Wide(base[i]) - lse));
      // exp magnifies the absolute error of its argument, which is at most that of the log-sum and one rounding.
      const double argument = allowed(n, 1 + std::fabs(lse)) + kEpsilon * std::fabs(double(base[i] - lse));
      EXPECT_NEAR(reference.probabilities()[i], p, p * (argument + 4 * kEpsilon) + 1e-307);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Vocabularies, Sizes, ::testing::Values(1, 2, 7, 8, 9, 15, 31, 512, 1000, 49152));

TEST(KlDivergence, IsNeverNegativeAndZeroForEqualLogits) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const auto base = random_logits(1 + seed % 97, seed, 3);
    EXPECT_EQ(kl_divergence(base, base), 0.0);
    auto other = base;
    other[seed % base.size()] = std::nextafter(other[seed % base.size()], 100.f);
    EXPECT_GE(kl_divergence(base, other), 0.0);
    auto shifted = base;
    for (float& x : shifted) x += 64;  // adds no information
    EXPECT_NEAR(kl_divergence(base, shifted), 0.0, 1e-4);
  }
}

TEST(KlDivergence, KnownByHand) {
  // p = (1/2, 1/2), q = (1/4, 3/4)
  const std::vector<float> p = {0, 0}, q = {0, std::log(3.0f)};
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0), 1e-7);
}

TEST(KlDivergence, RuledOutTokensAndBrokenLogits) {
  const float inf = INFINITY;
  // A token that the reference gives nothing adds nothing, whatever the policy says: in the part that is walked in
  // pairs and in the rest.
  for (const size_t at : {size_t{2}, size_t{13}, size_t{17}}) {
    std::vector<float> base = random_logits(19, at, 1), plain = base;
    base[at] = -inf, plain[at] = 0;
    EXPECT_EQ(kl_divergence(base, base), 0.0);
    EXPECT_NEAR(kl_divergence(base, plain), double(slow_log_sum(plain) - slow_log_sum(base)), 1e-14);
    // What the reference allows and the policy rules out is infinitely far.
    EXPECT_EQ(kl_divergence(plain, base), double(inf));
  }
  // NaN is never hidden by a maximum or a clamp.
  for (size_t at = 0; at < 11; ++at) {
    std::vector<float> broken(11, 0.5f);
    const std::vector<float> sound(11, 0.25f);
    broken[at] = NAN;
    EXPECT_TRUE(std::isnan(kl_divergence(sound, broken))) << at;
    EXPECT_TRUE(std::isnan(kl_divergence(broken, sound))) << at;
    EXPECT_TRUE(std::isnan(log_sum_exp(broken))) << at;
  }
}

TEST(LogSumExp, DoesNotOverflow) {
  const std::vector<float> large = {3e38f, 3e38f}, small = {-3e38f, -3e38f};
  EXPECT_DOUBLE_EQ(log_sum_exp(large), double(3e38f) + std::log(2.0));
  EXPECT_DOUBLE_EQ(log_sum_exp(small), double(-3e38f) + std::log(2.0));
}

TEST(Argmax, TakesTheFirstAmongEquals) {
  for (size_t n : {1, 8, 9, 40}) {
    std::vector<float> values(n, 2.0f);
    EXPECT_EQ(argmax(values), 0u);
    values[n - 1] = 3;
    EXPECT_EQ(argmax(values), n - 1);
  }
  const std::vector<float> negative = {-5, -2, -2};
  EXPECT_EQ(argmax(negative), 1u);
}

TEST(RunningMean, AgreesWithTwoPasses) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal(1e6, 1e-2);  // where the sum of squares loses every digit
  std::vector<double> values(1000);
  RunningMean running;
  for (double& x : values) running.add(x = normal(random));
  const Wide mean = std::accumulate(values.begin(), values.end(), Wide(0)) / Wide(values.size());
  Wide squares = 0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  const double variance = double(squares / Wide(values.size() - 1));
  EXPECT_NEAR(running.mean(), double(mean), 1e6 * 1000 * kEpsilon);
  EXPECT_NEAR(running.variance(), variance, 1e-6 * variance);
  EXPECT_NEAR(running.standard_error(), std::sqrt(variance / 1000), 1e-6 * std::sqrt(variance / 1000));
  RunningMean one;
  EXPECT_TRUE(std::isnan(one.mean()));
  one.add(3);
  EXPECT_EQ(one.mean(), 3);
  EXPECT_TRUE(std::isnan(one.standard_error()));
}

TEST(Percentile, InterpolatesBetweenNeighbours) {
  std::vector<double> values = {40, 10, 30, 20};
  EXPECT_EQ(percentile(values, 0), 10);
  EXPECT_EQ(percentile(values, 1), 40);
  EXPECT_EQ(percentile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(percentile(values, 0.99), 39.7);
  std::vector<double> one = {7}, none;
  EXPECT_EQ(percentile(one, 0.99), 7);
  EXPECT_TRUE(std::isnan(percentile(none, 0.5)));
}

TEST(BinCurve, CoversEveryPositionOnce) {
  for (const size_t n : {1, 5, 64, 65, 200, 1023}) {
    std::vector<double> values(n);
    std::iota(values.begin(), values.end(), 0.0);
    const auto bins = bin_curve(values, 64);
    ASSERT_FALSE(bins.empty());
    EXPECT_LE(bins.size(), 64u);
    uint32_t next = 0;
    for (const CurveBin& bin : bins) {
      EXPECT_EQ(bin.first, next);
      EXPECT_GE(bin.last, bin.first);
      EXPECT_DOUBLE_EQ(bin.kld, (double(bin.first) + double(bin.last)) / 2);
      next = bin.last + 1;
    }
    EXPECT_EQ(next, n);
  }
  EXPECT_TRUE(bin_curve({}, 64).empty());
}

TEST(Fidelity, FillsARow) {
  Fidelity fidelity;
  const std::vector<double> nlls = {1, 2, 4, 5}, klds = {0.5, 0.0, 0.25, 0.25};
  for (size_t i = 0; i < 4; ++i) fidelity.add({nlls[i], klds[i], 0, i != 2});
  PolicyResult row;
  fidelity.fill(row);
  EXPECT_EQ(row.tokens, 4u);
  EXPECT_DOUBLE_EQ(row.nll_mean, 3);
  EXPECT_DOUBLE_EQ(row.ppl, std::exp(3.0));
  // The error of exp(mean) by the delta method, from the mean of squares: exp(mean) sqrt((E x^2 - mean^2) / (n - 1)).
  EXPECT_DOUBLE_EQ(row.ppl_se, std::exp(3.0) * std::sqrt((46.0 / 4 - 9) / 3));
  EXPECT_DOUBLE_EQ(row.kld_mean, 0.25);
  EXPECT_DOUBLE_EQ(row.kld_se, std::sqrt((0.0625 + 0.0625) / 3 / 4));
  EXPECT_DOUBLE_EQ(row.kld_median, 0.25);
  EXPECT_DOUBLE_EQ(row.kld_max, 0.5);
  EXPECT_DOUBLE_EQ(row.kld_p99, 0.25 + 0.97 * 0.25);
  EXPECT_DOUBLE_EQ(row.same_top, 0.75);
  EXPECT_EQ(row.first_divergence, 2u);
  ASSERT_EQ(row.kld_curve.size(), 4u);
  EXPECT_EQ(row.kld_curve[0].kld, 0.5);
}

TEST(Fidelity, ChangesOfProbabilityAndPerplexityAreThoseOfPairs) {
  Fidelity fidelity;
  const std::vector<double> p = {0.5, 0.25, 0.1, 0.8}, reference = {0.4, 0.5, 0.1, 0.6};
  for (size_t i = 0; i < 4; ++i) fidelity.add({-std::log(p[i]), 0.1, 0, true, -std::log(reference[i])});
  const FidelityFigures f = fidelity.figures();
  // Changes 0.1, -0.25, 0, 0.2: mean 0.0125, squares 0.01 + 0.0625 + 0.04.
  EXPECT_NEAR(f.dp.mean, 0.0125, 1e-15);
  EXPECT_NEAR(f.dp.rms, std::sqrt(0.1125 / 4), 1e-15);
  EXPECT_NEAR(f.dp.se, std::sqrt((0.1125 - 4 * 0.0125 * 0.0125) / 3 / 4), 1e-15);
  EXPECT_NEAR(f.dp.percentiles.front(), -0.25, 1e-15);
  EXPECT_NEAR(f.dp.percentiles[6], 0.05, 1e-15);  // the median, between 0 and 0.1
  EXPECT_NEAR(f.dp.percentiles.back(), 0.2, 1e-15);
  // The geometric mean of reference / p.
  EXPECT_NEAR(f.ppl_ratio, std::pow(0.8 * 2 * 1 * 0.75, 0.25), 1e-14);
  std::vector<double> logs = {std::log(0.8), std::log(2.0), 0, std::log(0.75)};
  double mean = 0, squares = 0;
  for (const double x : logs) mean += x / 4;
  for (const double x : logs) squares += (x - mean) * (x - mean);
  EXPECT_NEAR(f.ppl_ratio_se, f.ppl_ratio * std::sqrt(squares / 3 / 4), 1e-14);
}

TEST(Fidelity, WithoutAReferenceThereIsNoDivergence) {
  Fidelity fidelity;
  fidelity.add_nll(1);
  fidelity.add_nll(2);
  PolicyResult row;
  fidelity.fill(row);
  EXPECT_DOUBLE_EQ(row.ppl, std::exp(1.5));
  EXPECT_TRUE(std::isnan(row.kld_mean) && std::isnan(row.kld_p99) && std::isnan(row.same_top));
  EXPECT_FALSE(row.first_divergence);
  EXPECT_TRUE(row.kld_curve.empty());
}

TEST(Fidelity, OneBrokenPositionShows) {
  Fidelity fidelity;
  fidelity.add({1, 0.1, 0, true});
  fidelity.add({NAN, NAN, 0, false});
  PolicyResult row;
  fidelity.fill(row);
  EXPECT_TRUE(std::isnan(row.kld_mean) && std::isnan(row.ppl) && std::isnan(row.kld_max));
}

}  // namespace
}  // namespace sluice
