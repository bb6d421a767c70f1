// What checks of an evictor share: instances for a model that fits the lanes, a shape whose budget the evictor
// accepts, and runs that can be compared. The checks stand in evictor_*.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "core/check/check.h"
#include "core/check/evictor_driver.h"

namespace sluice::check {

inline constexpr uint32_t kLayers = 3;  // of the model

// A new instance for a model of so many kv heads.
Instance make_instance(const Subject& subject, uint32_t kv_heads);

// The evictor on a number of lanes, at a budget that it accepts and that leaves it something to choose.
struct Trial {
  // With `kv_heads` the lanes are fewer than the model's heads: granularity = "layer".
  Trial(const Subject& subject, uint32_t lanes, uint32_t interval, uint32_t kv_heads = 0);

  EvictorDriver driver(uint64_t slot_seed = 1, const Habits& habits = {}) const {
    return EvictorDriver(evictor, shape, slot_seed, habits);
  }
  // Of a step of a run; runs with other streams differ.
  Attention attention(uint64_t step, uint64_t stream = 0) const;
  void decode(EvictorDriver& driver, uint32_t steps) const;
  // What a host does with a prompt of `tokens` more tokens, and on to decoding.
  void prompt(EvictorDriver& driver, uint32_t tokens) const;

  const Subject& subject;
  Instance evictor;
  Shape shape;  // capacity: budget and interval, and no slot more
};

// Victims of every step, lane after lane; each lane's sorted.
using Record = std::vector<Positions>;
void append(Record& record, std::vector<Positions> victims);
Positions sorted(Positions positions);

}  // namespace sluice::check
