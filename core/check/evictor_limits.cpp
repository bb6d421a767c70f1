// Checks of an evictor at the edges: lanes, prompts, capacities and signals as they may come, and what the step path
// may cost.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/check/allocations.h"
#include "core/check/evictor_checks.h"
#include "core/check/evictor_trial.h"

namespace sluice::check {
namespace {

// Returns how many rows were read until a prompt was as small as the budget.
uint64_t feed(const Trial& trial, uint32_t tokens) {
  Shape wide = trial.shape;
  wide.capacity = tokens, wide.prompt = 1;
  EvictorDriver driver(trial.evictor, wide);
  trial.prompt(driver, tokens);
  const uint64_t rows = driver.rows_read();
  trial.decode(driver, 20);
  return rows;
}

}  // namespace

void evictor_lanes(const Subject& subject) {
  for (uint32_t lanes : {1u, 5u, 8u}) {
    const Trial trial(subject, lanes, 4);
    EvictorDriver driver = trial.driver();
    trial.decode(driver, 60);
  }
}

void evictor_layer(const Subject& subject) {
  const Trial trial(subject, 1, 4, 4);
  EvictorDriver driver = trial.driver();
  trial.decode(driver, 60);
}

void evictor_prompt(const Subject& subject) {
  const Trial trial(subject, 3, 4);
  Shape wide = trial.shape;
  wide.capacity = 3 * trial.shape.budget, wide.prompt = 1;
  EvictorDriver driver(trial.evictor, wide);
  trial.prompt(driver, wide.capacity);
  trial.decode(driver, 20);
  driver.resize(wide.capacity, false, 1);
  trial.prompt(driver, 2 * trial.shape.budget);
  trial.decode(driver, 20);

  // One that fits stays whole, one of a single token too.
  for (uint32_t tokens : {1u, trial.shape.budget / 2}) {
    Shape narrow = trial.shape;
    narrow.capacity = tokens, narrow.prompt = 1;
    EvictorDriver fitting(trial.evictor, narrow);
    trial.prompt(fitting, tokens);
    expect(fitting.live(0).size() == tokens, "a prompt within the budget loses tokens");
    trial.decode(fitting, 40);
  }
}

// Few tokens with large slot numbers, then as many tokens; but not where those would take minutes.
void evictor_wide(const Subject& subject) {
  constexpr uint32_t kTokens = 70000;
  const Trial trial(subject, 2, 4);
  Shape wide = trial.shape;
  wide.capacity = kTokens;
  EvictorDriver sparse(trial.evictor, wide, subject.seed + 2);
  trial.decode(sparse, 60);
  const uint32_t tokens = std::min(8 * trial.shape.budget, kTokens);
  const uint64_t few = feed(trial, tokens / 4), many = feed(trial, tokens);
  if (many > 8 * few)
    warn(
        fmt::format("four times the prompt reads {:.1f} times the rows: time grows with the square of a prompt, and "
                    "one of {} tokens was not tried",
                    double(many) / double(few), kTokens));
  feed(trial, kTokens);
}

void evictor_signals(const Subject& subject) {
  constexpr float kExtremes[] = {0.0f, 1.0f, 1e30f, std::numeric_limits<float>::max(),
                                 std::numeric_limits<float>::denorm_min()};
  for (float value : kExtremes) {
    const Trial trial(subject, 2, 4);
    EvictorDriver driver = trial.driver();
    try {
      for (uint32_t step = 0; step < 60; step++) driver.step(4, [&](uint32_t, uint32_t) { return value; });
    } catch (const Outcome& outcome) {
      if (outcome.verdict != Verdict::kFail) throw;
      fail(fmt::format("when every token gets {}: {}", value, outcome.what()));
    }
  }
}

// A warning and no failure: methods that let old observations fade by calls differ here, and say so in their docs.
void evictor_observation(const Subject& subject) {
  const Trial trial(subject, 2, 16);
  sluice_signal wanted{};
  trial.evictor.table<sluice_evictor>().signal(trial.evictor.self(), 0, &wanted);
  if (wanted.kind == SLUICE_NO_SIGNAL) skip("it observes nothing");
  EvictorDriver often = trial.driver(), once = trial.driver();
  // Multiples of 1/64: their sums are exact in float. A token's peak reaches 1 in one of 48 observations.
  const auto share = [](uint64_t step, uint32_t lane, uint32_t p) {
    return std::floor(64 * noise(step, lane, p)) / 64 + (noise(step + 100, lane, p) < 1.0f / 48 ? 1 : 0);
  };
  const uint32_t tokens = trial.shape.budget + 8;
  often.insert(tokens), once.insert(tokens);
  for (uint32_t step = 0; step < 16; step++)
    often.observe(1, [&](uint32_t lane, uint32_t p) { return share(step, lane, p); });
  once.observe(16, [&](uint32_t lane, uint32_t p) {
    float all = 0;
    for (uint32_t step = 0; step < 16; step++)
      all = wanted.kind == SLUICE_PEAK ? std::max(all, share(step, lane, p)) : all + share(step, lane, p);
    return all;
  });
  Record one, other;
  append(one, often.select(23)), append(other, once.select(23));
  if (one != other) warn("other victims when 16 queries are observed one by one than when they are observed together");
}

void evictor_allocations(const Subject& subject) {
  const Trial trial(subject, 2, 4);
  redirect_allocations();
  // The host's counters (sluice.host.stats/1) take memory when they first appear.
  EvictorDriver first = trial.driver();
  trial.decode(first, 60);
  EvictorDriver driver = trial.driver(1, {.moves = false, .reuses_late = false, .counts_allocations = true});
  trial.decode(driver, 60);
  expect(driver.allocations() == 0,
         fmt::format("insert(), observe() and select() take memory {} times in 60 steps", driver.allocations()));
}

// At the limit, 32 layers take 6.4 ms of each token.
void evictor_speed(const Subject& subject) {
  constexpr double kMost = 200, kEnough = 1e6;  // microseconds: per token; of the measurement
  constexpr uint32_t kTokens = 2048;
  Trial trial(subject, 4, 16);
  trial.shape.budget = std::max(trial.shape.budget, 1024u), trial.shape.capacity = trial.shape.budget + 16;
  EvictorDriver driver = trial.driver(1, {.moves = false, .reuses_late = false});
  uint32_t tokens = 0;
  const auto attention = [&](uint32_t lane, uint32_t p) { return float((p * 31 + lane + tokens / 16) % 64) / 64; };
  driver.step(trial.shape.budget, attention);
  const auto start = std::chrono::steady_clock::now();
  double microseconds = 0;
  while (tokens < kTokens && microseconds < kEnough) {
    driver.step(16, attention);
    tokens += 16;
    microseconds = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  }
  if (microseconds / tokens > kMost)
    warn(fmt::format("{:.0f} microseconds per token for a layer of 4 lanes with {} tokens", microseconds / tokens,
                     trial.shape.budget));
}

}  // namespace sluice::check
