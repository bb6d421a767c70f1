// recent and random: what the other evictors are compared with.
#include <cmath>

#include "tests/support/evictor_driver.h"

namespace sluice::testing {
namespace {

TEST(EvictorRecent, KeepsSinksAndTheNewest) {
  for (uint32_t interval : {1u, 4u, 16u}) {
    const Instance module = make_evictor("recent");
    EvictorDriver driver(module, {.lanes = 3, .capacity = 60, .budget = 32, .interval = interval}, 2);
    for (uint32_t step = 0; step < 40; step++) {
      driver.insert(interval);
      if (driver.live(0).size() <= 32) continue;
      driver.select(uint32_t(driver.live(0).size()) - (32 - interval + 1));
      for (uint32_t lane = 0; lane < 3; lane++) {
        Positions expected{0, 1, 2, 3};
        for (uint32_t p = driver.next_position() - (32 - interval + 1 - 4); p < driver.next_position(); p++)
          expected.push_back(p);
        ASSERT_EQ(driver.live(lane), expected);
      }
    }
  }
}

TEST(EvictorRecent, AsksForNoSignal) {
  for (const char* name : {"recent", "random"}) {
    const Instance module = make_evictor(name);
    sluice_signal wanted{9, 9, 9, 9};
    for (uint32_t prompt : {0u, 1u}) {
      module.table<sluice_evictor>().signal(module.self(), prompt, &wanted);
      EXPECT_EQ(wanted.kind, uint32_t(SLUICE_NO_SIGNAL));
    }
  }
}

// Victims of one call as ranks among the candidates, counted over lanes, layers and draws. Each of 40 ranks is hit
// with p = 5/40; over 8,000 independent calls its count is binomial with sigma = sqrt(8000 p (1 - p)) = 29.6. The
// chance that any of 40 misses the mean by 5 sigma is below 3e-5, and the seed is fixed.
TEST(EvictorRandom, DrawsUniformly) {
  constexpr uint32_t kCandidates = 40, kVictims = 5, kLanes = 8;
  const Instance module = make_evictor("random", {{"sinks", 2}, {"recent", 3}});
  std::vector<uint32_t> count(kCandidates, 0);
  uint32_t calls = 0;
  for (uint32_t layer = 0; layer < 1000; layer++) {
    EvictorDriver driver(module, {.lanes = kLanes, .capacity = 64, .budget = 32, .layer = layer});
    driver.insert(2 + kCandidates + 3);
    for (const Positions& lane : driver.select(kVictims)) {
      calls++;
      for (uint32_t p : lane) {
        ASSERT_GE(p, 2u);
        ASSERT_LT(p, 2 + kCandidates);
        count[p - 2]++;
      }
    }
  }
  const double p = double(kVictims) / kCandidates, mean = calls * p, sigma = std::sqrt(calls * p * (1 - p));
  for (uint32_t rank = 0; rank < kCandidates; rank++) EXPECT_NEAR(count[rank], mean, 5 * sigma) << "rank " << rank;
}

TEST(EvictorRandom, SeedsLayersLanesAndTimesDiffer) {
  const auto victims = [](int seed, uint32_t layer) {
    const Instance module = make_evictor("random", {{"seed", seed}});
    EvictorDriver driver(module, {.lanes = 2, .capacity = 300, .budget = 64, .layer = layer});
    driver.insert(200);
    std::vector<Positions> lanes = driver.select(20), later = driver.select(20);
    lanes.insert(lanes.end(), later.begin(), later.end());
    return lanes;
  };
  const auto a = victims(0, 0);
  EXPECT_EQ(victims(0, 0), a);
  std::set<Positions> different(a.begin(), a.end());
  for (const auto& other : {victims(1, 0), victims(0, 1)}) different.insert(other.begin(), other.end());
  EXPECT_EQ(different.size(), 12u);
}

}  // namespace
}  // namespace sluice::testing
