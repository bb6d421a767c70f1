// What every evictor must do, whatever it prefers: the checks of `sluice plugin check` in this process, and what those
// of this tree promise beyond them. Each test runs for each evictor of the lists below; the examples are checked by the
// program itself (examples.cmake).
#include <cmath>

#include "core/check/check.h"
#include "tests/support/evictor_driver.h"

namespace sluice::testing {
namespace {

struct Case {
  std::string name;
  Parameters params;
  uint32_t sinks, recent;
  bool offers_rows = true;  // the host
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class EvictorContract : public ::testing::TestWithParam<Case> {
 protected:
  Instance evictor() const { return make_evictor(GetParam().name, GetParam().params); }
  EvictorDriver driver(const Instance& module, const Shape& shape) const {
    return EvictorDriver(module, shape, 1, {.offers_rows = GetParam().offers_rows});
  }
};
class EvictorChecks : public ::testing::TestWithParam<Case> {};

const Case kCases[] = {
    {"h2o", {{"recent", 8}, {"sinks", 2}}, 2, 8},
    {"h2o", {{"recent", 0}}, 0, 0},
    {"h2o", {{"recent", Share{25}}, {"decay", 0.9}}, 0, 8},
    {"sieve", {{"recent", 8}, {"sinks", 4}}, 4, 8},
    {"sieve", {{"recent", 0}, {"sinks", 0}, {"entry_bit", 1}}, 0, 0},
    {"recent", {{"sinks", 4}}, 4, 0},
    {"random", {{"sinks", 2}, {"recent", 8}}, 2, 8},
    {"random", {{"sinks", 0}, {"recent", 0}, {"seed", 7}}, 0, 0},
    {"my_evictor", {{"sinks", 3}}, 3, 0},
};
const Case kExamples[] = {
    {"streaming_llm", {{"sinks", 4}}, 4, 0},
    {"streaming_llm", {{"sinks", 2}, {"window", 8}}, 2, 8},
    {"tova", {}, 0, 0},
    {"snapkv", {{"window", 8}}, 0, 8},
    {"snapkv", {{"window", 3}, {"kernel", 1}, {"pool", 1}}, 0, 3},
    {"q_hitter", {{"recent", 8}}, 0, 8},
    {"q_hitter", {{"recent", 8}, {"bits", 3}}, 0, 8, false},
    {"keydiff", {}, 0, 0},
    {"keydiff", {{"recent", 8}}, 0, 8, false},
    {"r_kv", {{"window", 8}}, 0, 8},
    {"r_kv", {{"window", 8}}, 0, 8, false},
    {"pyramidkv", {{"parameters", "window = 8"}}, 0, 8},
    {"pyramidkv", {{"part", "keydiff"}, {"parameters", "recent = 8"}}, 0, 8},
    {"adakv", {{"window", 8}, {"parameters", "window = 8"}}, 0, 8},
    {"adakv", {{"window", 8}, {"part", "keydiff"}, {"parameters", "recent = 8"}}, 0, 8},
    {"adakv", {{"window", 8}, {"part", "q_hitter"}, {"parameters", "recent = 8"}}, 0, 8, false},
};
std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name + std::to_string(info.index); }
INSTANTIATE_TEST_SUITE_P(All, EvictorContract, ::testing::ValuesIn(kCases), name_of);
INSTANTIATE_TEST_SUITE_P(All, EvictorChecks, ::testing::ValuesIn(kCases), name_of);
INSTANTIATE_TEST_SUITE_P(Examples, EvictorContract, ::testing::ValuesIn(kExamples), name_of);

// Sorted, so that runs may be compared whatever order victims are named in.
std::vector<Positions> sorted(std::vector<Positions> victims) {
  for (Positions& lane : victims) std::sort(lane.begin(), lane.end());
  return victims;
}

// A warning is for methods that need not do something; only the template's may differ.
TEST_P(EvictorChecks, AreAllPassed) {
  check::Subject subject;
  subject.module = &built_plugins().find(SLUICE_EVICTOR, GetParam().name);
  subject.registry = &built_plugins();
  subject.values = values_of(*subject.module, GetParam().params);
  for (const check::Check& check : check::evictor_checks()) {
    if (check.name == "evictor-speed") continue;  // a clock
    try {
      check.run(subject);
    } catch (const check::Outcome& outcome) {
      const bool observes_less = check.name == "evictor-observation" && outcome.verdict != check::Verdict::kFail;
      EXPECT_TRUE(observes_less) << check.name << ": " << outcome.what();
    } catch (const Error& error) {
      ADD_FAILURE() << check.name << ": " << error.what();
    }
  }
}

// Live tokens stay within the budget for any interval, sinks and the most recent stay, positions stay distinct
// and ascending (oracle 14).
TEST_P(EvictorContract, KeepsTheBudgetSinksAndRecent) {
  for (uint32_t lanes : {1u, 5u, 8u})
    for (uint32_t interval : {1u, 4u, 7u, 16u}) {
      const Instance module = evictor();
      EvictorDriver driver = this->driver(module, {.lanes = lanes, .capacity = 60, .budget = 32, .interval = interval});
      for (uint32_t step = 0; step < 60; step++) {
        driver.step(interval, [&](uint32_t lane, uint32_t p) { return 2 * noise(step, lane, p); });
        for (uint32_t lane = 0; lane < lanes; lane++) {
          const Positions live = driver.live(lane);
          ASSERT_LE(live.size(), 32u);
          const uint32_t seen = driver.next_position();
          for (uint32_t s = 0; s < std::min(seen, GetParam().sinks); s++)
            ASSERT_TRUE(std::binary_search(live.begin(), live.end(), s)) << "sink " << s << " left";
          for (uint32_t r = 0; r < std::min(seen, GetParam().recent); r++)
            ASSERT_TRUE(std::binary_search(live.begin(), live.end(), seen - 1 - r)) << "recent token left";
        }
      }
    }
}

TEST_P(EvictorContract, RefusesMoreVictimsThanMayLeaveAndChangesNothing) {
  const Instance module = evictor();
  EvictorDriver driver = this->driver(module, {.lanes = 5, .capacity = 100, .budget = 32});
  driver.insert(40);
  const State before = driver.state();
  EXPECT_EQ(driver.try_select(40 - GetParam().sinks - GetParam().recent + 1), SLUICE_INVALID);
  EXPECT_TRUE(driver.state() == before);
}

TEST_P(EvictorContract, LanesDoNotTouchEachOther) {
  const Instance module = evictor();
  const Shape shape{.lanes = 8, .capacity = 60, .budget = 32, .interval = 4};
  EvictorDriver one = driver(module, shape), other = driver(module, shape);
  for (uint32_t step = 0; step < 40; step++) {
    auto a = one.step(4, [&](uint32_t lane, uint32_t p) { return 3 * noise(step, lane, p); });
    auto b = other.step(4, [&](uint32_t lane, uint32_t p) { return 3 * noise(lane == 3 ? step + 77 : step, lane, p); });
    a.erase(a.begin() + 3), b.erase(b.begin() + 3);
    ASSERT_EQ(a, b);
  }
}

TEST_P(EvictorContract, SaysWhyKeptTokensDoNotFit) {
  const uint32_t kept = GetParam().sinks + GetParam().recent;
  const Instance module =
      GetParam().name == "h2o"
          ? make_evictor("h2o", {{"recent", int(GetParam().recent)}, {"sinks", int(GetParam().sinks)}})
          : evictor();
  if (kept > 0) {
    EXPECT_NO_THROW(EvictorDriver(module, {.capacity = 64, .budget = kept + 3, .interval = 4}));
    EXPECT_NO_THROW(EvictorDriver(module, {.capacity = 64, .budget = kept, .interval = 1}));
  }
  try {
    EvictorDriver(module, {.capacity = 64, .budget = kept + 2, .interval = 4});
    FAIL() << "reset() took a budget of " << kept + 2;
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const std::string& part : {std::to_string(GetParam().sinks), "budget " + std::to_string(kept + 2),
                                    std::string("interval 4"), GetParam().name})
      EXPECT_NE(message.find(part), std::string::npos) << message << " does not mention " << part;
    EXPECT_EQ(error.code(), kExitUsage);
  }
}

// Observing every token or every k tokens comes to the same: sums add up, of peaks the highest counts.
class EvictorObservations : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(All, EvictorObservations,
                         ::testing::Values(kCases[0], kCases[1], kCases[3], kCases[4], kCases[5], kCases[6]), name_of);

TEST_P(EvictorObservations, AddUp) {
  const bool peak = GetParam().name == "sieve";
  const Instance module = make_evictor(GetParam().name, GetParam().params);
  const Shape shape{.lanes = 5, .capacity = 60, .budget = 32};
  EvictorDriver often(module, shape), once(module, shape);
  // Multiples of 1/64: their sums are exact in float. A token's peak reaches 1 in one of 48 observations.
  const auto share = [](uint32_t step, uint32_t lane, uint32_t p) {
    return std::floor(64 * noise(step, lane, p)) / 64 + (noise(step + 100, lane, p) < 1.0f / 48 ? 1 : 0);
  };
  often.insert(40), once.insert(40);
  for (uint32_t step = 0; step < 16; step++)
    often.observe(1, [&](uint32_t lane, uint32_t p) { return share(step, lane, p); });
  once.observe(16, [&](uint32_t lane, uint32_t p) {
    float all = 0;
    for (uint32_t step = 0; step < 16; step++)
      all = peak ? std::max(all, share(step, lane, p)) : all + share(step, lane, p);
    return all;
  });
  EXPECT_EQ(sorted(often.select(9)), sorted(once.select(9)));
}

}  // namespace
}  // namespace sluice::testing
