// The example evictors that look at positions and attention alone: streaming_llm, tova and snapkv, each against its
// formula by position and in double.
#include "tests/support/example_reference.h"

namespace sluice::testing {
namespace {

// What leaves is always the oldest token behind the sinks.
TEST(ExampleStreamingLlm, KeepsSinksAndAWindow) {
  for (uint32_t interval : {1u, 4u}) {
    const Instance module = make_evictor("streaming_llm", {{"sinks", 3}, {"window", 16}});
    EvictorDriver driver(module, {.lanes = 2, .capacity = 40, .budget = 18 + interval, .interval = interval}, 5);
    for (uint32_t step = 0; step < 60; step++) driver.step(interval, [](uint32_t, uint32_t) { return 0.0f; });
    Positions expected{0, 1, 2};
    const Positions live = driver.live(1);
    for (uint32_t p = driver.next_position() - uint32_t(live.size()) + 3; p < driver.next_position(); p++)
      expected.push_back(p);
    EXPECT_EQ(live, expected);
    EXPECT_GE(live.size(), 3u + 16u);
  }
}

// A window of its own takes less than the budget, so that it is a number of tokens whatever the budget.
TEST(ExampleStreamingLlm, AWindowIsTokensWhateverTheBudget) {
  const Instance module = make_evictor("streaming_llm", {{"sinks", 4}, {"window", 252}});
  const auto* budget = budgets_of(module);
  ASSERT_TRUE(budget);
  EXPECT_EQ(budget->ragged, 0u);
  EXPECT_EQ(budget->layer(module.self(), 0, 4096, 1), 256u);
  EXPECT_EQ(budget->layer(module.self(), 1, 4096, 16), 271u);
  EXPECT_EQ(budget->layer(module.self(), 1, 200, 16), 200u) << "reset() then says that it does not fit";
  const Instance all = make_evictor("streaming_llm");
  EXPECT_EQ(budget->layer(all.self(), 0, 4096, 16), 4096u);
}

// The recent baseline with the same sinks, step by step.
TEST(ExampleStreamingLlm, WithoutAWindowItIsRecent) {
  const Instance module = make_evictor("streaming_llm", {{"sinks", 4}}),
                 recent = make_evictor("recent", {{"sinks", 4}});
  const Shape shape{.lanes = 2, .capacity = 60, .budget = 32, .interval = 4};
  EvictorDriver one(module, shape), other(recent, shape);
  for (uint32_t step = 0; step < 40; step++) {
    const Attention attention = [&](uint32_t lane, uint32_t p) { return noise(step, lane, p); };
    ASSERT_EQ(one.step(4, attention), other.step(4, attention));
  }
}

// The paper's rule, one query at a time: what it looks at least leaves, whatever earlier queries thought.
TEST(ExampleTova, EvictsWhatTheLastQueryLooksAtLeast) {
  const Instance module = make_evictor("tova");
  EvictorDriver driver(module, {.lanes = 3, .capacity = 40, .budget = 32}, 7);
  size_t evicted = 0;
  for (uint32_t step = 0; step < 100; step++) {
    std::vector<Scores> scores(3);
    for (uint32_t lane = 0; lane < 3; lane++) {
      for (uint32_t p : driver.live(lane)) scores[lane][p] = double(noise(step, lane, p));
      scores[lane][step] = double(noise(step, lane, step));
    }
    const auto victims = driver.step(1, [&](uint32_t lane, uint32_t p) { return noise(step, lane, p); });
    for (uint32_t lane = 0; lane < 3; lane++) {
      const std::set<uint32_t> expected = lowest(scores[lane], victims[lane].size());
      ASSERT_EQ(std::set<uint32_t>(victims[lane].begin(), victims[lane].end()), expected) << "step " << step;
      evicted += expected.size();
    }
  }
  EXPECT_EQ(evicted, 3u * (100 - 32));
}

// Of queries that come together, a token's mean over those that saw it counts: 3 from two queries is less than 7 from
// four.
TEST(ExampleTova, TakesTheMeanOfTheQueriesThatSawAToken) {
  const Instance module = make_evictor("tova");
  EvictorDriver driver(module, {.capacity = 40, .budget = 32, .interval = 4});
  driver.insert(4);
  driver.observe(4, [](uint32_t, uint32_t p) { return p == 0 ? 0.0f : 8.0f; });
  driver.insert(4);
  // Positions 0 to 4 were seen by four queries, then by three, two, one: means 2.5, 2.25, 2, 3, 1.75, 2.67, 1.5, 1.5.
  const float paid[] = {10, 9, 8, 12, 7, 8, 3, 1.5f};
  driver.observe(4, [&](uint32_t, uint32_t p) { return paid[p]; });
  const Positions victims = driver.select(4)[0];
  EXPECT_EQ(std::set<uint32_t>(victims.begin(), victims.end()), (std::set<uint32_t>{2, 4, 6, 7}));
}

TEST(ExampleTova, OfAPromptTheLastQueryCounts) {
  const Instance module = make_evictor("tova");
  sluice_signal wanted{};
  module.table<sluice_evictor>().signal(module.self(), 1, &wanted);
  EXPECT_EQ(wanted.kind, uint32_t(SLUICE_SUM));
  EXPECT_EQ(wanted.window, 1u);
  EvictorDriver driver(module, {.capacity = 40, .budget = 32, .prompt = 1});
  driver.insert(40);
  driver.observe(40, [](uint32_t, uint32_t p) { return p == 39 ? 0.1f : p == 5 ? 0.2f : 1.0f; });
  EXPECT_EQ(driver.select(2)[0].size(), 2u);
  EXPECT_EQ(driver.live(0)[5], 6u) << "what it looked at least left, the newest too";
}

struct SnapkvCase {
  uint32_t window, kernel, pool, interval;
};
class ExampleSnapkv : public ::testing::TestWithParam<SnapkvCase> {};
INSTANTIATE_TEST_SUITE_P(All, ExampleSnapkv,
                         ::testing::Values(SnapkvCase{8, 5, 0, 4}, SnapkvCase{8, 7, 1, 4}, SnapkvCase{16, 1, 0, 1},
                                           SnapkvCase{4, 3, 1, 16}));

// A prompt once, then decoding: victims are those of the formula. Pooled means of exact shares differ only where the
// division by the kernel rounds, so scores that are equal stay equal.
TEST_P(ExampleSnapkv, EqualsTheFormula) {
  const auto [window, kernel, pool, interval] = GetParam();
  const Instance module =
      make_evictor("snapkv", {{"window", int(window)}, {"kernel", int(kernel)}, {"pool", int(pool)}});
  sluice_signal wanted{};
  module.table<sluice_evictor>().signal(module.self(), 1, &wanted);
  EXPECT_EQ(wanted.window, window);
  EvictorDriver driver(module, {.lanes = 3, .capacity = 150, .budget = 64, .interval = interval, .prompt = 1}, 5);
  std::vector<ReferenceWindow> reference(3, ReferenceWindow{window});
  const auto follow = [&](uint32_t step, const std::vector<Positions>& victims) {
    for (uint32_t lane = 0; lane < 3; lane++) {
      const std::set<uint32_t> expected =
          lowest(reference[lane].pooled(window, kernel, pool == 1), victims[lane].size());
      ASSERT_EQ(std::set<uint32_t>(victims[lane].begin(), victims[lane].end()), expected)
          << "step " << step << " lane " << lane;
      for (uint32_t p : expected) reference[lane].erase(p);
    }
  };
  const auto enter = [&](uint32_t step, uint32_t first, uint32_t n) {
    for (uint32_t lane = 0; lane < 3; lane++) {
      reference[lane].insert(first, n);
      reference[lane].observe(n, [&](uint32_t p) { return exact_share(step, lane, p); });
    }
  };
  enter(999, 0, 150);
  driver.insert(150);
  driver.observe(150, [&](uint32_t lane, uint32_t p) { return exact_share(999, lane, p); });
  follow(0, driver.select(150 - (64 - interval + 1)));
  driver.resize(100, true);
  size_t evicted = 0;
  for (uint32_t step = 1; step < 80; step++) {
    enter(step, driver.next_position(), interval);
    const auto victims = driver.step(interval, [&](uint32_t lane, uint32_t p) { return exact_share(step, lane, p); });
    follow(step, victims);
    if (HasFatalFailure()) return;
    evicted += victims[0].size();
  }
  EXPECT_GT(evicted, 70u * interval);
}

// What the prompt's queries looked at is forgotten as newer ones come: that is what the window is for.
TEST(ExampleSnapkv, ForgetsWhatOlderQueriesLookedAt) {
  const Instance module = make_evictor("snapkv", {{"window", 8}, {"kernel", 1}});
  EvictorDriver driver(module, {.capacity = 40, .budget = 32, .interval = 4});
  driver.insert(20);
  driver.observe(20, [](uint32_t, uint32_t p) { return p == 3 ? 100.0f : 1.0f; });
  bool left = false;
  for (uint32_t step = 0; step < 12 && !left; step++) {
    driver.step(4, [](uint32_t, uint32_t p) { return p == 3 ? 0.0f : 1.0f; });
    left = driver.live(0)[3] != 3;
    EXPECT_TRUE(!left || step > 1) << "while the window reaches back it stays";
  }
  EXPECT_TRUE(left);
}

TEST(ExampleSnapkv, AnEvenKernelIsRefused) {
  EXPECT_THROW(make_evictor("snapkv", {{"kernel", 4}}), Error);
  EXPECT_THROW(make_evictor("r_kv", {{"kernel", 2}}), Error);
}

}  // namespace
}  // namespace sluice::testing
