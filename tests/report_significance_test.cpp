// Standard errors, flips, exact p-values, intervals and stuck generations, against SciPy's figures, the harness's, and
// what can be counted by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "core/report/significance.h"

namespace sluice {
namespace {

const nlohmann::json& golden() {
  static const nlohmann::json data =
      nlohmann::json::parse(std::ifstream(std::string(SLUICE_TEST_DATA) + "/tasks/statistics.json"));
  return data;
}

// Sums of some hundred terms of one sign, a square root and a quotient: a few hundred units at most.
constexpr double kRelative = 512 * 0x1p-53;

TEST(Stderr, IsTheHarnesss) {
  ASSERT_GE(golden()["mean"].size(), 5u);
  for (const auto& one : golden()["mean"]) {
    const auto values = one["values"].get<std::vector<double>>();
    const double expected = one["stderr"];
    EXPECT_NEAR(mean_stderr(values), expected, kRelative * expected);
  }
  EXPECT_TRUE(std::isnan(mean_stderr(std::vector<double>{1})));
  for (const auto& one : golden()["pooled"]) {
    const auto sizes = one["sizes"].get<std::vector<uint64_t>>();
    const auto stderrs = one["stderrs"].get<std::vector<double>>();
    const double expected = one["pooled"];
    EXPECT_NEAR(pooled_stderr(stderrs, sizes), expected, kRelative * expected);
  }
}

TEST(Stderr, PoolsPartsOfOneDocument) {
  EXPECT_TRUE(std::isnan(pooled_stderr(std::vector<double>{NAN, NAN}, std::vector<uint64_t>{1, 1})));
  EXPECT_FALSE(std::isnan(pooled_stderr(std::vector<double>{NAN, 0.1}, std::vector<uint64_t>{1, 10})));
  EXPECT_DOUBLE_EQ(unweighted_stderr(std::vector<double>{0.3, 0.4}), 0.25);
  EXPECT_DOUBLE_EQ(weighted_mean(std::vector<double>{0.5, 1.0}, std::vector<uint64_t>{30, 10}), 0.625);
}

TEST(Stderr, OfGroupsDrawnWhole) {
  // The mean is 20 / 8 = 2.5, so sums are off by 4 - 5, 7 - 7.5 and 9 - 7.5.
  const std::vector<double> sums = {4, 7, 9};
  const std::vector<uint64_t> sizes = {2, 3, 3};
  EXPECT_DOUBLE_EQ(grouped_stderr(sums, sizes), std::sqrt(3.0 / 2 * (1 + 0.25 + 2.25)) / 8);
  // Groups of one are plain draws.
  const std::vector<double> values = {0.5, 1, 0.25, 2};
  EXPECT_DOUBLE_EQ(grouped_stderr(values, std::vector<uint64_t>{1, 1, 1, 1}), mean_stderr(values));
  EXPECT_TRUE(std::isnan(grouped_stderr(std::vector<double>{1}, std::vector<uint64_t>{4})));
}

TEST(Flips, AreCountedEachWay) {
  const std::vector<double> baseline = {1, 1, 0, 0, 1, 0}, scores = {1, 0, 1, 0, 0, 0};
  const Flips flips = count_flips(baseline, scores);
  EXPECT_EQ(flips.lost, 2u);
  EXPECT_EQ(flips.won, 1u);
}

TEST(McNemar, IsTheExactBinomialTest) {
  for (const auto& one : golden()["mcnemar"]) {
    const Flips flips{one["lost"], one["won"]};
    const double expected = one["p"];
    // lgamma of numbers up to 1400 is about 9000, known to some units, and the exponential makes absolute errors
    // relative.
    EXPECT_NEAR(mcnemar_p(flips), expected, 1e-10 * expected) << one;
    EXPECT_EQ(mcnemar_p(flips), mcnemar_p({flips.won, flips.lost}));
  }
  EXPECT_DOUBLE_EQ(mcnemar_p({5, 0}), 2.0 / 32);  // by hand
}

TEST(Bootstrap, IsSeededAndCoversWhatItShould) {
  std::vector<double> baseline(400), scores(400);
  for (size_t i = 0; i < 400; ++i) baseline[i] = i % 2 ? 1 : 0, scores[i] = i % 2 && i % 20 != 1 ? 1 : 0;
  const Interval a = bootstrap_difference(baseline, scores, 3), b = bootstrap_difference(baseline, scores, 3);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  size_t others = 0;
  for (uint64_t seed = 4; seed < 14; ++seed) others += bootstrap_difference(baseline, scores, seed, 50).low != a.low;
  EXPECT_GT(others, 3u);
  // The mean is -0.05, its standard error sqrt(0.05 * 0.95 / 400) = 0.0109; a percentile of 10,000 rounds is off by
  // less than a tenth of that, and the distribution is a little skewed.
  EXPECT_NEAR(a.low, -0.05 - 1.96 * 0.0109, 0.0025 + 0.0011);
  EXPECT_NEAR(a.high, -0.05 + 1.96 * 0.0109, 0.0025 + 0.0011);
  const Interval same = bootstrap_difference(baseline, baseline, 1);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

TEST(Floor, HoldsWhereTheIntervalReachesChance) {
  for (const auto& one : golden()["wilson"]) {
    const Interval interval = share_interval(one["right"], one["n"]);
    EXPECT_NEAR(interval.low, one["low"].get<double>(), 1e-12) << one;
    EXPECT_NEAR(interval.high, one["high"].get<double>(), 1e-12) << one;
  }
  EXPECT_TRUE(at_floor(26, 100, 0.25));
  EXPECT_TRUE(at_floor(5, 100, 0.25));  // worse than guessing ranks nothing either
  EXPECT_FALSE(at_floor(45, 100, 0.25));
  EXPECT_TRUE(at_floor(0, 100, 0));
  EXPECT_FALSE(at_floor(1, 100, 0));
  EXPECT_TRUE(at_floor(0, 0, 0.25));
}

TEST(Degenerate, SeesLoops) {
  EXPECT_EQ(repeated_tail(""), 0);
  EXPECT_EQ(repeated_tail("a b c d e f"), 0);
  EXPECT_EQ(repeated_tail("a b a b"), 0);  // twice is no loop
  EXPECT_DOUBLE_EQ(repeated_tail("x y a b a b a b"), 0.75);
  EXPECT_DOUBLE_EQ(repeated_tail("one two no no no no"), 4.0 / 6);
  std::string phrase, loop = "The answer is found so: ";
  for (int i = 0; i < 7; ++i) phrase += "word" + std::to_string(i) + " ";
  for (int i = 0; i < 5; ++i) loop += phrase;
  EXPECT_TRUE(degenerate(loop));
  EXPECT_FALSE(degenerate(phrase));
  EXPECT_FALSE(degenerate("no no no no"));  // short answers may repeat
  EXPECT_FALSE(degenerate("There are 3 * 4 = 12 eggs. She eats 2, so 12 - 2 = 10 are left. The answer is 10."));
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 300; ++i) text += std::to_string(random() % 50) + " ";
  EXPECT_FALSE(degenerate(text));
}

}  // namespace
}  // namespace sluice
