// Turns, pairs and verdicts, with figures that are given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/bench/pair.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

// Notes whose turn it was, and answers with the next of its slices, the last one for ever.
struct Script {
  std::string& order;
  char name;
  std::vector<Slice> slices;
  size_t at = 0;
  Slice operator()() {
    order += name;
    return slices[std::min(at++, slices.size() - 1)];
  }
};

TEST(BenchPair, TurnsAreTakenABBA) {
  std::string order;
  const PairFigures figures = alternate(Script{order, 'A', {{10, 1, 0}}}, Script{order, 'B', {{10, 2, 0}}}, 4);
  EXPECT_EQ(order,
            "AB"
            "AB"
            "BA"
            "AB"
            "BA")
      << "a warm-up first";
  EXPECT_THAT(figures.ratios, ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(figures.speeds[0], ElementsAre(10, 10, 10, 10));
  EXPECT_THAT(figures.speeds[1], ElementsAre(5, 5, 5, 5));
  EXPECT_EQ(figures.dropped, 0u);
}

// A pair's two are neighbours in time, whichever came first.
TEST(BenchPair, ARatioIsOfNeighbours) {
  std::string order;
  const std::vector<Slice> a = {{1, 1, 0}, {100, 1, 0}, {200, 1, 0}}, b = {{1, 1, 0}, {50, 1, 0}, {400, 1, 0}};
  const PairFigures figures = alternate(Script{order, 'A', a}, Script{order, 'B', b}, 2);
  EXPECT_THAT(figures.ratios, ElementsAre(2, 0.5)) << "the warm-up counts nowhere";
}

TEST(BenchPair, ANoisySliceDropsItsPair) {
  std::string order;
  const Slice quiet{10, 1, 0.0799}, noisy{10, 4, 0.08}, unknown{10, 1, kUnknown};
  uint32_t heard = 0;
  const PairFigures figures =
      alternate(Script{order, 'A', {quiet, quiet, noisy, quiet, unknown}},
                Script{order, 'B', {quiet, noisy, quiet, quiet}}, 2, [&](uint32_t pair) { EXPECT_EQ(pair, ++heard); });
  EXPECT_THAT(figures.ratios, ElementsAre(1, 1));
  EXPECT_EQ(figures.dropped, 2u);
  EXPECT_EQ(heard, 2u);
  const PairFigures never = alternate(Script{order, 'A', {noisy}}, Script{order, 'B', {quiet}}, 3);
  EXPECT_TRUE(never.ratios.empty());
  EXPECT_EQ(never.dropped, 9u) << "it is not tried for ever";
}

TEST(BenchPair, TheWholeRangeDecides) {
  const std::vector<double> above = {1.01, 1.2, 1.05, 1.1, 1.3, 1.02, 1.07};
  EXPECT_EQ(verdict_of(above), "faster");
  std::vector<double> below;
  for (double x : above) below.push_back(1 / x);
  EXPECT_EQ(verdict_of(below), "slower");
  std::vector<double> across = above;
  across[3] = 0.999;
  EXPECT_EQ(verdict_of(across), "not told apart");
  across[3] = 1;
  EXPECT_EQ(verdict_of(across), "not told apart");
  EXPECT_EQ(verdict_of({1.2, 1.2, 1.2, 1.2, 1.2, 1.2}), "not told apart") << "too few";
  EXPECT_EQ(verdict_of({}), "not told apart");
}

TEST(BenchPair, TheMiddleIsTheMedian) {
  const Spread odd = spread({3, 1, 2}), even = spread({4, 1, 3, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.low, 1);
  EXPECT_EQ(odd.high, 3);
  EXPECT_EQ(even.median, 2.5);
  EXPECT_TRUE(std::isnan(spread({}).median));
}

}  // namespace
}  // namespace sluice
