// h2o against a plain reference in double, and its corner cases.
#include <cmath>

#include "tests/support/evictor_driver.h"

namespace sluice::testing {
namespace {

// Scores by position, in double, for one lane.
struct Reference {
  double decay = 1;
  uint32_t sinks = 0;
  std::map<uint32_t, double> score;  // of live tokens

  void insert(uint32_t first, uint32_t n) {
    for (uint32_t p = first; p < first + n; p++) score[p] = 0;
  }
  void observe(uint32_t queries, const std::function<float(uint32_t)>& attention) {
    for (auto& [position, s] : score) s = s * std::pow(decay, queries) + double(attention(position));
  }
  // Candidates: neither sinks nor among the newest `recent`.
  std::vector<std::pair<double, uint32_t>> candidates(uint32_t recent) const {
    std::vector<std::pair<double, uint32_t>> list;
    const uint32_t newest = score.rbegin()->first;
    for (const auto& [position, s] : score)
      if (position >= sinks && position + recent <= newest) list.push_back({s, position});
    std::sort(list.begin(), list.end());
    return list;
  }
};

// Signals that are multiples of 1/256 below 1: their sums are exact in float, so victims must be equal.
float exact_share(uint64_t step, uint32_t lane, uint32_t position) {
  return std::floor(256 * noise(step, lane, position)) / 256;
}

TEST(EvictorH2o, EqualsTheReferenceWhereSumsAreExact) {
  for (uint32_t interval : {1u, 4u, 16u})
    for (uint32_t sinks : {0u, 4u}) {
      const Instance module = make_evictor("h2o", {{"recent", 20}, {"sinks", int(sinks)}});
      EvictorDriver driver(module, {.lanes = 3, .capacity = 90, .budget = 64, .interval = interval}, 5);
      std::vector<Reference> reference(3, Reference{1.0, sinks, {}});
      size_t evicted = 0;
      for (uint32_t step = 0; step < 400; step++) {
        const uint32_t first = driver.next_position();
        const auto victims = driver.step(interval, [&](uint32_t l, uint32_t p) { return exact_share(step, l, p); });
        for (uint32_t lane = 0; lane < 3; lane++) {
          Reference& want = reference[lane];
          want.insert(first, interval);
          want.observe(interval, [&](uint32_t p) { return exact_share(step, lane, p); });
          const auto candidates = want.candidates(20);
          std::set<uint32_t> expected;
          for (size_t i = 0; i < victims[lane].size(); i++) expected.insert(candidates[i].second);
          ASSERT_EQ(std::set<uint32_t>(victims[lane].begin(), victims[lane].end()), expected)
              << "interval " << interval << " step " << step << " lane " << lane;
          for (uint32_t p : expected) want.score.erase(p);
          evicted += expected.size();
        }
      }
      EXPECT_GT(evicted, 3u * 300u * interval);
    }
}

// With any signal a victim's true score exceeds the true n-th lowest by no more than float may lose: each of the
// k operations on a score rounds by 2^-24 of it.
TEST(EvictorH2o, StaysWithinRoundingOfTheReferenceWithDecay) {
  for (double decay : {1.0, 0.98, 0.5}) {
    constexpr uint32_t kInterval = 4;
    const Instance module = make_evictor("h2o", {{"recent", Share{25}}, {"decay", decay}});
    EvictorDriver driver(module, {.capacity = 90, .budget = 64, .interval = kInterval}, 5);
    Reference reference{decay, 0, {}};
    for (uint32_t step = 0; step < 500; step++) {
      const uint32_t first = driver.next_position();
      const auto victims = driver.step(kInterval, [&](uint32_t l, uint32_t p) { return noise(step, l, p); })[0];
      reference.insert(first, kInterval);
      reference.observe(kInterval, [&](uint32_t p) { return noise(step, 0, p); });
      if (victims.empty()) continue;
      const double limit = reference.candidates(16)[victims.size() - 1].first;
      // Two roundings per observation, five for decay^4 and its parameter, at most step + 1 observations.
      const double slack = 2 * (7.0 * (step + 1)) * std::ldexp(1.0, -24);
      for (uint32_t p : victims) {
        ASSERT_LE(reference.score.at(p), limit * (1 + slack)) << "decay " << decay << " step " << step;
        ASSERT_LE(p + 16, driver.next_position() - 1);
      }
      for (uint32_t p : victims) reference.score.erase(p);
    }
  }
}

// Late tokens get in when old merit fades: the reason for decay.
TEST(EvictorH2o, DecayThawsTheCache) {
  const auto oldest_kept = [](double decay) {
    const Instance module = make_evictor("h2o", {{"recent", 8}, {"decay", decay}});
    EvictorDriver driver(module, {.capacity = 40, .budget = 32});
    for (uint32_t step = 0; step < 400; step++)
      driver.step(1, [&](uint32_t, uint32_t p) { return step - p < 16 ? 0.05f : step < 100 ? 0.02f : 0.001f; });
    return driver.live(0).front();
  };
  EXPECT_LT(oldest_kept(1.0), 50u);
  EXPECT_GT(oldest_kept(0.9), 300u);
}

TEST(EvictorH2o, EqualScoresLeaveOldestFirst) {
  const Instance module = make_evictor("h2o", {{"recent", 4}});
  EvictorDriver driver(module, {.lanes = 2, .capacity = 64, .budget = 32}, 9);
  driver.insert(40);
  driver.observe(1, [](uint32_t, uint32_t p) { return p % 2 ? 1.0f : 2.0f; });
  Positions victims = driver.select(20)[1];
  std::sort(victims.begin(), victims.end());
  // 18 odd ones besides the four newest, then the two oldest even ones.
  Positions expected{0, 2};
  for (uint32_t p = 1; p < 36; p += 2) expected.push_back(p);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(victims, expected);
}

// Oracle 16: nothing but the recent window is left.
TEST(EvictorH2o, WithoutHeavyHittersItIsASlidingWindow) {
  for (uint32_t interval : {1u, 8u}) {
    const Instance module = make_evictor("h2o", {{"recent", int(32 - interval + 1)}});
    EvictorDriver driver(module, {.capacity = 64, .budget = 32, .interval = interval});
    uint32_t next_victim = 0;
    for (uint32_t step = 0; step < 50; step++) {
      Positions victims = driver.step(interval, [&](uint32_t l, uint32_t p) { return noise(step, l, p); })[0];
      std::sort(victims.begin(), victims.end());
      for (uint32_t p : victims) ASSERT_EQ(p, next_victim++);
    }
    EXPECT_GT(next_victim, 10u * interval);
  }
}

// Without a recent window even the token that just came may leave.
TEST(EvictorH2o, WithoutARecentWindowTheNewestMayLeave) {
  const Instance module = make_evictor("h2o", {{"recent", 0}});
  EvictorDriver driver(module, {.capacity = 16, .budget = 8});
  driver.insert(9);
  driver.observe(9, [](uint32_t, uint32_t p) { return p == 8 ? 0.5f : 1.0f; });
  EXPECT_EQ(driver.select(1)[0], Positions{8});
}

// Oracle 20: four query heads that look alike decide as one does.
TEST(EvictorH2o, IdenticalQueryHeadsDecideAsOne) {
  const Instance module = make_evictor("h2o");
  const Shape shape{.lanes = 2, .capacity = 64, .budget = 32, .interval = 4};
  EvictorDriver one(module, shape), four(module, shape);
  for (uint32_t step = 0; step < 60; step++)
    ASSERT_EQ(one.step(4, [&](uint32_t l, uint32_t p) { return noise(step, l, p); }),
              four.step(4, [&](uint32_t l, uint32_t p) { return 4 * noise(step, l, p); }));
}

TEST(EvictorH2o, TakesSixBytesPerSlot) {
  const Instance module = make_evictor("h2o");
  const sluice_lanes lanes{0, 4, 1000, 800, 16, 0};
  EXPECT_EQ(module.table<sluice_evictor>().state_size(module.self(), &lanes), 4u * (6 * 1000 + 4));
}

TEST(EvictorH2o, ASlotStartsAnewWithItsNextToken) {
  const Instance module = make_evictor("h2o", {{"recent", 0}});
  EvictorDriver driver(module, {.capacity = 4, .budget = 3});
  driver.insert(4);
  driver.observe(4, [](uint32_t, uint32_t p) { return p == 1 ? 0.0f : 9.0f + float(p); });
  EXPECT_EQ(driver.select(1)[0], Positions{1});
  driver.insert(1);  // the only free slot is that of position 1
  driver.observe(1, [](uint32_t, uint32_t p) { return p == 4 ? 0.1f : 1.0f; });
  EXPECT_EQ(driver.select(1)[0], Positions{4});
}

}  // namespace
}  // namespace sluice::testing
