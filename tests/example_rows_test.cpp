// The example evictors that judge tokens by their keys and values: keydiff, q_hitter and r_kv, each against its formula
// by position and in double. Float sums may prefer another of two nearly equal tokens, so a victim's true score may
// exceed the true limit by what float may lose.
#include <gmock/gmock.h>

#include <algorithm>

#include "sluice/half.h"
#include "tests/support/check_runner.h"
#include "tests/support/example_reference.h"

namespace sluice::testing {
namespace {

// Sums of 64 products of numbers below 1, and what is made of them, round by less than this.
constexpr double kSlack = 64 * 0x1p-23;

// score = -cos(k, mean of k / |k|) over all tokens of the lane.
Scores keydiff_scores(uint32_t lane, const Positions& live) {
  std::vector<double> mean(kGeometry.head_dim);
  for (uint32_t p : live) {
    const auto key = row_of(lane, SLUICE_KEY, p);
    for (size_t c = 0; c < key.size(); c++) mean[c] += key[c] / std::sqrt(inner(key, key));
  }
  Scores scores;
  for (uint32_t p : live) scores[p] = -cosine(row_of(lane, SLUICE_KEY, p), mean);
  return scores;
}

TEST(ExampleKeydiff, EqualsTheFormula) {
  for (uint32_t recent : {0u, 8u}) {
    const Instance module = make_evictor("keydiff", {{"recent", int(recent)}});
    EvictorDriver driver(module, {.lanes = 3, .capacity = 60, .budget = 40, .interval = 4}, 5);
    std::vector<Positions> live(3);
    for (uint32_t step = 0; step < 30; step++) {
      for (Positions& lane : live)
        for (uint32_t i = 0; i < 4; i++) lane.push_back(4 * step + i);
      const auto victims = driver.step(4, [](uint32_t, uint32_t) { return 0.0f; });
      for (uint32_t lane = 0; lane < 3; lane++) {
        Scores scores = keydiff_scores(lane, live[lane]);
        for (uint32_t i = 0; i < recent && !victims[lane].empty(); i++) scores.erase(live[lane].rbegin()[i]);
        expect_lowest(scores, victims[lane], kSlack);
        if (HasFatalFailure()) return;
        live[lane] = driver.live(lane);
      }
    }
  }
}

TEST(ExampleKeydiff, LooksAtNoAttention) {
  const Instance module = make_evictor("keydiff");
  for (uint32_t prompt : {0u, 1u}) {
    sluice_signal wanted{SLUICE_SUM, 0, 0, 0};
    module.table<sluice_evictor>().signal(module.self(), prompt, &wanted);
    EXPECT_EQ(wanted.kind, uint32_t(SLUICE_NO_SIGNAL));
  }
}

TEST(ExampleKeydiff, ZeroKeysAreNobodysCopy) {
  const Instance module = make_evictor("keydiff");
  EvictorDriver driver(module, {.capacity = 40, .budget = 32});
  driver.set_rows([](uint32_t, uint32_t, uint32_t position, uint32_t c) {
    return position % 2 == 0 ? 0.0f : c == 0 ? 1.0f : 0.01f * float(position);
  });
  driver.insert(40);
  const std::vector<Positions> victims = driver.select(20);
  for (uint32_t p : victims[0]) EXPECT_EQ(p % 2, 1u);
}

// The length of what a row loses with 2^bits levels between its extremes, as it is kept: in half precision.
double error_of(uint32_t lane, uint32_t side, uint32_t position, uint32_t bits) {
  const auto row = row_of(lane, side, position);
  const double low = *std::min_element(row.begin(), row.end()), high = *std::max_element(row.begin(), row.end());
  const double step = (high - low) / ((1 << bits) - 1);
  double sum = 0;
  for (double x : row) sum += std::pow(x - (low + std::nearbyint((x - low) / step) * step), 2);
  return std::sqrt(sum);
}

TEST(ExampleQHitter, EqualsTheFormula) {
  constexpr uint32_t kBits[] = {2, 4};
  for (uint32_t choice : {0u, 2u})
    for (double weight : {0.0, 0.5, 1.0}) {
      const Instance module = make_evictor("q_hitter", {{"recent", 8}, {"bits", int(choice)}, {"attention", weight}});
      EvictorDriver driver(module, {.lanes = 2, .capacity = 60, .budget = 40, .interval = 4}, 5);
      std::vector<Scores> sums(2);
      for (uint32_t step = 0; step < 30; step++) {
        const auto victims = driver.step(4, [&](uint32_t lane, uint32_t p) { return exact_share(step, lane, p); });
        for (uint32_t lane = 0; lane < 2; lane++) {
          for (uint32_t i = 0; i < 4; i++) sums[lane][4 * step + i] = 0;
          for (auto& [p, sum] : sums[lane]) sum += double(exact_share(step, lane, p));
          if (victims[lane].empty()) continue;
          Scores parts[3] = {sums[lane], {}, {}}, scores;
          for (const auto& [p, sum] : sums[lane])
            for (uint32_t side : {0u, 1u}) parts[1 + side][p] = error_of(lane, side, p, kBits[choice / 2]);
          for (Scores& part : parts) {  // to 0 .. 1
            double low = INFINITY, high = -INFINITY;
            for (const auto& [p, x] : part) low = std::min(low, x), high = std::max(high, x);
            for (auto& [p, x] : part) x = high > low ? (x - low) / (high - low) : 0;
          }
          for (const auto& [p, sum] : sums[lane])
            if (p + 8 < 4 * step + 4)
              scores[p] = weight * parts[0][p] + (1 - weight) * (1 - (parts[1][p] + parts[2][p]) / 2);
          // An error is kept in 11 bits: 2^-11 of it, and errors spread over a tenth of their size or more.
          expect_lowest(scores, victims[lane], weight == 1 ? kSlack : 20 * 0x1p-11);
          if (HasFatalFailure()) return;
          for (uint32_t p : victims[lane]) sums[lane].erase(p);
        }
      }
    }
}

TEST(ExampleQHitter, PrefersRowsThatBearQuantization) {
  const Instance module = make_evictor("q_hitter", {{"recent", 0}, {"attention", 0.0}});
  EvictorDriver driver(module, {.capacity = 40, .budget = 32});
  driver.set_rows([](uint32_t, uint32_t side, uint32_t position, uint32_t c) {
    const bool even = position < 20 || side == SLUICE_VALUE;  // four even steps: nothing is lost in two bits
    return even ? float(c % 4) : float(c) * float(c);
  });
  driver.insert(40);
  const std::vector<Positions> victims = driver.select(20);
  for (uint32_t p : victims[0]) EXPECT_GE(p, 20u);
}

// Redundancy: the mean cosine with the other keys, without those of which the token is the newest copy; softmax of that
// over all tokens; importance: the peak over neighbours of the window's attention, as a share.
Scores r_kv_scores(const ReferenceWindow& paid, const std::function<std::vector<double>(uint32_t)>& key,
                   uint32_t kernel, double weight, double alike) {
  const Positions live = paid.live();
  std::map<uint32_t, double> repeated;
  for (uint32_t i : live) {
    uint32_t newest = UINT32_MAX;
    for (uint32_t j : live)
      if (j != i && cosine(key(i), key(j)) > alike) newest = j;
    for (uint32_t j : live)
      if (j != i && j != newest) repeated[j] += cosine(key(i), key(j)) / double(live.size());
  }
  double all = 0, attention = 0;
  for (uint32_t p : live) all += std::exp(repeated[p]);
  Scores scores = paid.pooled(paid.window, kernel, true);
  for (const auto& [p, score] : scores) attention += paid.of(p);
  for (auto& [p, score] : scores) score = weight * score / attention - (1 - weight) * std::exp(repeated[p]) / all;
  return scores;
}

TEST(ExampleRkv, EqualsTheFormula) {
  for (double weight : {0.0, 0.1, 0.9})
    for (uint32_t interval : {1u, 4u}) {
      const Instance module =
          make_evictor("r_kv", {{"window", 4}, {"kernel", 3}, {"importance", weight}, {"alike", 0.1}});
      EvictorDriver driver(module, {.lanes = 2, .capacity = 40, .budget = 24, .interval = interval}, 5);
      std::vector<ReferenceWindow> paid(2, ReferenceWindow{4});
      for (uint32_t step = 0; step < 40; step++) {
        const uint32_t first = driver.next_position();
        const auto victims =
            driver.step(interval, [&](uint32_t lane, uint32_t p) { return exact_share(step, lane, p); });
        for (uint32_t lane = 0; lane < 2; lane++) {
          paid[lane].insert(first, interval);
          paid[lane].observe(interval, [&](uint32_t p) { return exact_share(step, lane, p); });
          if (victims[lane].empty()) continue;
          const auto key = [&](uint32_t p) { return row_of(lane, SLUICE_KEY, p); };
          expect_lowest(r_kv_scores(paid[lane], key, 3, weight, 0.1), victims[lane], kSlack);
          if (HasFatalFailure()) return;
          for (uint32_t p : victims[lane]) paid[lane].erase(p);
        }
      }
    }
}

// Ten tokens whose keys are copies of one another, among others that differ: copies leave, the newest of them last.
TEST(ExampleRkv, CopiesLeaveAndTheNewestStays) {
  const Instance module = make_evictor("r_kv", {{"window", 4}, {"importance", 0.0}});
  EvictorDriver driver(module, {.capacity = 60, .budget = 40});
  driver.set_rows([](uint32_t head, uint32_t side, uint32_t p, uint32_t c) {
    return noisy_row(head, side, p >= 10 && p < 20 ? 10 : p, c);
  });
  driver.insert(50);
  driver.observe(50, [](uint32_t, uint32_t) { return 1.0f; });
  const Positions victims = driver.select(9)[0];
  EXPECT_EQ(std::set<uint32_t>(victims.begin(), victims.end()),
            (std::set<uint32_t>{10, 11, 12, 13, 14, 15, 16, 17, 18}));
}

// Which the checker sees from the rows read, before it tries a prompt that would take minutes.
TEST(ExampleRkv, GrowsWithTheSquareOfAPromptAndTheOthersDoNot) {
  const auto checks = check::evictor_checks();
  const auto wide = std::find_if(checks.begin(), checks.end(), [](const auto& c) { return c.name == "evictor-wide"; });
  ASSERT_NE(wide, checks.end());
  for (const char* name : {"r_kv", "keydiff"}) {
    const sluice_module& module = built_plugins().find(SLUICE_EVICTOR, name);
    const Finding found = run_check(*wide, {{}, &module, &built_plugins(), values_of(module, {})});
    const bool square = std::string(name) == "r_kv";
    EXPECT_EQ(found.verdict, square ? check::Verdict::kWarn : check::Verdict::kPass) << name << ": " << found.why;
    if (square) {
      EXPECT_THAT(found.why, ::testing::HasSubstr("time grows with the square of a prompt"));
    }
  }
}

}  // namespace
}  // namespace sluice::testing
