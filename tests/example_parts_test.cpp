// The example evictors that are made of another one: pyramidkv and adakv. The part chooses as it would alone; layers
// and heads get what the formula gives them.
#include "tests/support/example_reference.h"

namespace sluice::testing {
namespace {

Instance with_layers(uint32_t layers, const Parameters& set) {
  return make_evictor("pyramidkv", set, {layers, 8, 4, check::kHeadDim, 4096});
}

// b(l) = base + interval - 1 + most - (most - least) * l / (L - 1), least = rest / beta, most = 2 * rest - least.
TEST(ExamplePyramidkv, BudgetsFallInEvenStepsAndAddUp) {
  for (uint32_t layers : {2u, 3u, 30u, 32u})
    for (uint32_t beta : {1u, 2u, 20u})
      for (uint32_t budget : {60u, 204u, 2048u})
        for (uint32_t interval : {1u, 16u}) {
          const Instance module = with_layers(layers, {{"base", 32}, {"beta", int(beta)}});
          uint64_t sum = 0;
          const double floor = 32 + interval - 1, rest = budget - floor, least = std::floor(rest / beta);
          for (uint32_t l = 0; l < layers; l++) {
            const uint32_t given = budgets_of(module)->layer(module.self(), l, budget, interval);
            const double exact = floor + (2 * rest - least) - (2 * rest - 2 * least) * l / (layers - 1);
            EXPECT_EQ(given, uint32_t(std::floor(exact + 1e-9))) << "layer " << l << " of " << layers;
            sum += given;
          }
          EXPECT_LE(sum, uint64_t(layers) * budget);
          EXPECT_GT(sum + layers, uint64_t(layers) * budget) << "no more is lost than rounding down costs";
        }
}

TEST(ExamplePyramidkv, WhereThereIsNothingToShareAllLayersAreAlike) {
  const Instance module = with_layers(30, {{"base", 64}}), single = with_layers(1, {});
  for (uint32_t l = 0; l < 30; l++) EXPECT_EQ(budgets_of(module)->layer(module.self(), l, 64, 1), 64u);
  EXPECT_EQ(budgets_of(single)->layer(single.self(), 0, 500, 16), 500u);
}

// Within a layer it is its part.
TEST(ExamplePyramidkv, ChoosesAsItsPartDoes) {
  const Instance module = make_evictor("pyramidkv", {{"parameters", "window = 8, kernel = 3"}}),
                 part = make_evictor("snapkv", {{"window", 8}, {"kernel", 3}});
  const Shape shape{.lanes = 3, .capacity = 60, .budget = 40, .interval = 4};
  EvictorDriver one(module, shape), other(part, shape);
  for (uint32_t step = 0; step < 40; step++) {
    const Attention attention = [&](uint32_t lane, uint32_t p) { return noise(step, lane, p); };
    ASSERT_EQ(one.step(4, attention), other.step(4, attention));
    ASSERT_TRUE(one.state() == other.state());
  }
}

TEST(ExamplePyramidkv, SaysWhatIsWrongWithItsPart) {
  for (const auto& [name, parameters] : {std::pair{"nobody", ""}, {"snapkv", "kernel = 2"}, {"snapkv", "width = 3"}})
    try {
      make_evictor("pyramidkv", {{"part", name}, {"parameters", parameters}});
      FAIL() << name << " with " << parameters << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kExitUsage) << error.what();
    }
}

// Which tokens of all lanes leave: the lowest pooled scores, lane by lane not below the floor, the window not counted.
std::vector<uint32_t> split_of(const std::vector<ReferenceWindow>& lanes, uint32_t window, uint32_t kernel,
                               uint32_t floor, uint32_t total) {
  std::vector<std::tuple<double, uint32_t>> all;
  for (uint32_t l = 0; l < lanes.size(); l++)
    for (const auto& [p, score] : lanes[l].pooled(window, kernel, true)) all.push_back({score, l});
  std::sort(all.begin(), all.end());
  std::vector<uint32_t> counts(lanes.size());
  for (const auto& [score, l] : all)
    if (total > 0 && lanes[l].newer.size() - counts[l] > floor) counts[l]++, total--;
  return counts;
}

// Heads of different temper: head 0 looks at few tokens, head 3 at all of them alike.
float tempered(uint32_t step, uint32_t lane, uint32_t p) {
  const float x = exact_share(step, lane, p);
  return lane == 0 ? (p % 16 == 3 ? 4 * x : 0) : lane == 3 ? 0.5f + x / 8 : x * 0.5f;
}

TEST(ExampleAdakv, SplitsByTheScoresOfAllHeads) {
  constexpr uint32_t kLanes = 4, kWindow = 8, kBudget = 44, kInterval = 4;
  for (double floor : {0.0, 0.5, 1.0}) {
    const Instance module = make_evictor(
        "adakv", {{"window", int(kWindow)}, {"kernel", 3}, {"floor", floor}, {"parameters", "window = 8, kernel = 3"}});
    EXPECT_EQ(budgets_of(module)->ragged, 1u);
    EvictorDriver driver(module, {.lanes = kLanes, .capacity = 200, .budget = kBudget, .interval = kInterval});
    std::vector<ReferenceWindow> reference(kLanes, ReferenceWindow{kWindow});
    constexpr uint32_t kTarget = kBudget - kInterval + 1;
    const uint32_t least = std::max(uint32_t(floor * kTarget), kWindow);
    uint32_t widest = 0, thinnest = UINT32_MAX;
    for (uint32_t step = 0; step < 60; step++) {
      const uint32_t first = driver.next_position();
      driver.insert(kInterval);
      driver.observe(kInterval, [&](uint32_t lane, uint32_t p) { return tempered(step, lane, p); });
      uint32_t held = 0;
      for (uint32_t lane = 0; lane < kLanes; lane++) {
        reference[lane].insert(first, kInterval);
        reference[lane].observe(kInterval, [&](uint32_t p) { return tempered(step, lane, p); });
        held += uint32_t(reference[lane].newer.size());
      }
      if (held <= kLanes * kBudget) continue;
      const auto expected = split_of(reference, kWindow, 3, least, held - kLanes * kTarget);
      const auto victims = driver.select_split(held - kLanes * kTarget);
      for (uint32_t lane = 0; lane < kLanes; lane++) {
        ASSERT_EQ(victims[lane].size(), expected[lane]) << "step " << step << " lane " << lane << " floor " << floor;
        // Within the head the part chooses: snapkv by the mean.
        const auto lowest_of_lane = lowest(reference[lane].pooled(kWindow, 3, false), expected[lane]);
        ASSERT_EQ(std::set<uint32_t>(victims[lane].begin(), victims[lane].end()), lowest_of_lane);
        for (uint32_t p : victims[lane]) reference[lane].erase(p);
        const auto kept = uint32_t(reference[lane].newer.size());
        ASSERT_GE(kept, least);
        widest = std::max(widest, kept), thinnest = std::min(thinnest, kept);
      }
    }
    if (floor == 1.0)
      EXPECT_EQ(widest, thinnest);
    else
      EXPECT_GT(widest, thinnest + 8) << "heads differ, so their budgets do";
  }
}

// Equal scores everywhere: the sum still holds, and forks and other slots see the same.
TEST(ExampleAdakv, EqualScoresAreSplitInTheOrderOfHeads) {
  const Instance module = make_evictor("adakv", {{"window", 4}, {"floor", 0.5}, {"parameters", "window = 4"}});
  EvictorDriver driver(module, {.lanes = 3, .capacity = 60, .budget = 32}, 9);
  driver.insert(40);
  driver.observe(40, [](uint32_t, uint32_t) { return 1.0f; });
  const auto victims = driver.select_split(30);
  EXPECT_EQ(victims[0].size(), 24u) << "down to the floor of 16";
  EXPECT_EQ(victims[1].size(), 6u);
  EXPECT_EQ(victims[2].size(), 0u);
}

// The rows that a part reads are those of its own head.
TEST(ExampleAdakv, PartsReadTheRowsOfTheirHead) {
  const Instance module = make_evictor("adakv", {{"window", 8}, {"part", "keydiff"}, {"parameters", "recent = 8"}}),
                 part = make_evictor("keydiff", {{"recent", 8}});
  const Shape shape{.lanes = 3, .capacity = 60, .budget = 40, .interval = 4};
  EvictorDriver one(module, shape), other(part, shape);
  for (uint32_t step = 0; step < 20; step++) {
    const Attention attention = [&](uint32_t lane, uint32_t p) { return noise(step, lane, p); };
    ASSERT_EQ(one.step(4, attention), other.step(4, attention));
  }
}

// Layers by one part, heads by adakv, tokens by the part's part.
TEST(ExampleAdakv, PassesOnTheLayersOfItsPart) {
  const Instance module = make_evictor("adakv", {{"part", "pyramidkv"}});
  const uint32_t first = budgets_of(module)->layer(module.self(), 0, 204, 16),
                 last = budgets_of(module)->layer(module.self(), 1, 204, 16);
  EXPECT_GT(first, 300u);
  EXPECT_LT(last, 100u);
  const Instance plain = make_evictor("adakv");
  EXPECT_EQ(budgets_of(plain)->layer(plain.self(), 0, 204, 16), 204u);
}

}  // namespace
}  // namespace sluice::testing
