// See evictor_trial.h.
#include "core/check/evictor_trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"

namespace sluice::check {
namespace {

constexpr uint32_t kContext = 131072, kWidestInterval = 16, kLargestBudget = 8192;

// The smallest power of two that reset() takes as a budget even at the widest interval, doubled. What it needs follows
// from parameters that nobody but the evictor understands, so it is asked.
uint32_t learn_budget(const Instance& evictor, const Shape& shape) {
  std::string said;
  for (uint32_t budget = 32; budget <= kLargestBudget; budget *= 2) {
    Shape tried = shape;
    tried.budget = budget, tried.interval = kWidestInterval, tried.capacity = budget + kWidestInterval;
    try {
      EvictorDriver driver(evictor, tried);
      return 2 * budget;
    } catch (const Error& refusal) {
      said = refusal.what();
    }
  }
  fail(fmt::format("reset() refuses every budget from 32 to {} at interval {}: {}", kLargestBudget, kWidestInterval,
                   said));
}

}  // namespace

Instance make_instance(const Subject& subject, uint32_t kv_heads) {
  const sluice_geometry geometry{kLayers, kQueriesPerHead * kv_heads, kv_heads, kHeadDim, kContext};
  return subject.registry->create_policy(*subject.module, geometry, subject.values);
}

Trial::Trial(const Subject& s, uint32_t lanes, uint32_t interval, uint32_t kv_heads)
    : subject(s), evictor(make_instance(s, kv_heads ? kv_heads : lanes)) {
  shape.lanes = lanes, shape.interval = interval, shape.layer = 1, shape.kv_heads = kv_heads;
  shape.budget = learn_budget(evictor, shape);
  shape.capacity = shape.budget + interval;
}

Attention Trial::attention(uint64_t step, uint64_t stream) const {
  const uint64_t key = (subject.seed * 0x9E3779B97F4A7C15u ^ stream * 0xBF58476D1CE4E5B9u) + step;
  return [key](uint32_t lane, uint32_t position) { return 3 * noise(key, lane, position); };
}

void Trial::decode(EvictorDriver& driver, uint32_t steps) const {
  for (uint32_t step = 0; step < steps; step++) driver.step(shape.interval, attention(step));
}

void Trial::prompt(EvictorDriver& driver, uint32_t tokens) const {
  driver.insert(tokens);
  driver.observe(tokens, attention(tokens, 1));
  driver.look_back(tokens);
  const auto live = uint32_t(driver.live(0).size());
  if (live > shape.budget) driver.select(live - (shape.budget - shape.interval + 1));
  driver.resize(shape.capacity, false);
}

Positions sorted(Positions positions) {
  std::sort(positions.begin(), positions.end());
  return positions;
}

void append(Record& record, std::vector<Positions> victims) {
  for (Positions& lane : victims) record.push_back(sorted(std::move(lane)));
}

}  // namespace sluice::check
