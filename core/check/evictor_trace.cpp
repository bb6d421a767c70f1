// What a trace holds of an evictor (trace.h): whom it evicts, in decoding and after prompts, and what it refuses.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/check/evictor_trial.h"
#include "core/check/trace.h"

namespace sluice::check {
namespace {

constexpr uint32_t kLanes = 2;

uint32_t digest_of_lanes(const std::vector<Positions>& lanes) {
  uint32_t digest = kNoDigest;
  for (const Positions& lane : lanes) digest = digest_of(sorted(lane), digest);
  return digest;
}

void decoding(Trace& trace, const Subject& subject, uint32_t interval, const std::string& what,
              const std::function<Attention(const Trial&, uint32_t)>& attention) {
  const Trial trial(subject, kLanes, interval);
  EvictorDriver driver = trial.driver();
  TraceLine line{what, {"the victims"}, {}};
  for (uint32_t step = 0; step < trial.shape.budget / interval + 100; step++)
    line.digests.push_back(digest_of_lanes(driver.step(interval, attention(trial, step))));
  trace.push_back(std::move(line));
  note_counters(trial.evictor, trace);
}

TraceLine prompts(const Subject& subject) {
  const Trial trial(subject, kLanes, 4);
  Shape wide = trial.shape;
  wide.capacity = 3 * trial.shape.budget, wide.prompt = 1;
  EvictorDriver driver(trial.evictor, wide);
  TraceLine line{"prompts between decoding", {"the tokens left"}, {}};
  const auto note = [&] {
    std::vector<Positions> lanes;
    for (uint32_t lane = 0; lane < kLanes; lane++) lanes.push_back(driver.live(lane));
    line.digests.push_back(digest_of_lanes(lanes));
  };
  for (uint32_t tokens : {3 * trial.shape.budget, 2 * trial.shape.budget}) {
    trial.prompt(driver, tokens);
    note();
    for (uint32_t step = 0; step < 40; step++) driver.step(4, trial.attention(step)), note();
    driver.resize(wide.capacity, false, 1);
    note();
  }
  return line;
}

TraceLine budgets(const Subject& subject) {
  const Trial trial(subject, kLanes, 1);
  TraceLine line{"budgets", {"the refusals"}, {}};
  for (uint32_t interval : {1u, 16u}) {
    std::vector<uint8_t> taken;
    for (uint32_t budget = 1; budget <= trial.shape.budget; budget++) {
      Shape shape = trial.shape;
      shape.budget = budget, shape.interval = interval, shape.capacity = budget + interval;
      try {
        const EvictorDriver driver(trial.evictor, shape);
        taken.push_back(1);
      } catch (const Error&) {
        taken.push_back(0);
      }
    }
    line.digests.push_back(digest_of(taken));
  }
  return line;
}

// Refusals change nothing, so one state answers for all numbers down to the first that is accepted.
TraceLine most_victims(const Subject& subject) {
  const Trial trial(subject, kLanes, 16);
  EvictorDriver driver = trial.driver();
  const uint32_t live = trial.shape.budget + 16;
  driver.insert(live);
  driver.observe(live, trial.attention(0));
  uint32_t n = live;
  while (n > 0 && driver.try_select(n) != SLUICE_OK) n--;
  return {"all tokens asked for", {"the most victims"}, {digest_of(std::vector<uint32_t>{n})}};
}

}  // namespace

Trace evictor_trace(const Subject& of) {
  Subject subject = of;
  subject.seed = 1;
  const auto plain = [](const Trial& trial, uint32_t step) { return trial.attention(step); };
  // Few values, so that the order of equal ones shows.
  const auto steps = [](const Trial& trial, uint32_t step) -> Attention {
    return [of = trial.attention(step)](uint32_t lane, uint32_t position) { return std::floor(of(lane, position)); };
  };
  Trace trace;
  decoding(trace, subject, 1, "decoding at interval 1", plain);
  decoding(trace, subject, 4, "decoding at interval 4", plain);
  decoding(trace, subject, 16, "decoding at interval 16, many scores equal", steps);
  for (TraceLine (*line)(const Subject&) : {prompts, budgets, most_victims}) trace.push_back(line(subject));
  return trace;
}

}  // namespace sluice::check
