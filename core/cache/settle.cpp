// See sequence_cache.h: what the policy does with a layer once rows are in. It is told of tokens, attention and
// queries, says who leaves, and what is left is compacted, renumbered and encoded. How is layer_cache.h's business.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/cache/layer_cache.h"
#include "core/cache/rows_reader.h"
#include "core/cache/sequence_cache.h"

namespace sluice {
namespace {

// Calls a verb of the evictor that may read rows: call(rows) returns its status.
template <class Call>
void with_rows(LayerCache& layer, const char* verb, Call&& call) {
  const RowsReader reader(layer);
  const sluice_status status = [&] {
    const InVerb in(layer.rules().evictor->who(), verb);
    return call(reader.rows());
  }();
  layer.counters.decoded += reader.decoded();
  reader.check(verb);
  layer.rules().evictor->check(status, verb);
  check_guard(layer, verb);
}

// How many tokens leave each of the layer's lanes, `total` in all, as the evictor says.
void split(LayerCache& layer, uint64_t total, uint32_t* counts) {
  const Instance& evictor = *layer.rules().evictor;
  const uint32_t lanes = layer.pools.count;
  Scratch<uint32_t> live(layer.scratch, lanes);
  for (uint32_t lane = 0; lane < lanes; lane++) live[lane] = layer.pools[lane].live;
  std::fill_n(counts, lanes, 0u);
  evictor.call("budget.split", layer.rules().budget->split, layer.state.data, &layer.lanes, live.data(),
               uint32_t(total), counts);
  check_guard(layer, "budget.split");
  uint64_t sum = 0;
  for (uint32_t lane = 0; lane < lanes; lane++) {
    sum += counts[lane];
    if (counts[lane] >= live[lane])
      throw Error(fmt::format("evictor {}, budget.split: {} tokens are to leave lane {} of layer {}, which holds {}; "
                              "one at least stays",
                              evictor.module().name, counts[lane], lane, layer.index, live[lane]),
                  kExitFailed);
  }
  if (sum != total)
    throw Error(fmt::format("evictor {}, budget.split: its counts for layer {} add up to {} tokens, {} are to leave",
                            evictor.module().name, layer.index, sum, total),
                kExitFailed);
}

}  // namespace

// Tells the evictor of the tokens that came and of the attention they paid.
void SequenceCache::observe(LayerCache& layer, uint32_t prompt) const {
  const uint32_t lanes = policy_->evictor_lanes(), n = layer.pending_positions.count;
  if (n == 0) return;
  const LayerPolicy& rules = layer.rules();
  const Instance& evictor = *rules.evictor;
  const sluice_evictor& table = policy_->evictor(layer.index);
  Scratch<uint32_t> slots(layer.scratch, uint64_t(lanes) * n);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t lane = 0; lane < lanes; lane++) slots[uint64_t(lane) * n + i] = layer.pending_slots[i * lanes + lane];
  const uint32_t* positions = layer.pending_positions.data();
  evictor.call("insert", table.insert, layer.state.data, &layer.lanes, n, slots.data(), positions);
  check_guard(layer, "insert");
  if (rules.rows)
    with_rows(layer, "rows.inserted", [&](const sluice_rows* rows) {
      rules.rows->inserted(evictor.self(), layer.state.data, &layer.lanes, n, slots.data(), positions, rows);
      return sluice_status(SLUICE_OK);
    });
  layer.pending_slots.count = layer.pending_positions.count = 0;
  if (!layer.wants_signal()) return;
  const uint32_t kind = rules.signal[prompt].kind;
  pull_signal(layer);
  float* signal = layer.signal(0);
  if (kind != SLUICE_NO_SIGNAL) {
    if (policy_->layer_granularity)
      for (uint32_t h = 1; h < layer.kv_heads(); h++)
        for (uint32_t s = 0; s < layer.capacity; s++)
          signal[s] = kind == SLUICE_SUM ? signal[s] + layer.signal(h)[s] : std::max(signal[s], layer.signal(h)[s]);
    evictor.call("observe", table.observe, layer.state.data, &layer.lanes, n, signal);
    check_guard(layer, "observe");
  }
  clear_signal(layer);
}

// Gives the evictor the queries that window() gathered, head by head.
void SequenceCache::hand_over_window(LayerCache& layer) const {
  const uint32_t n = layer.window, heads = policy_->geometry.heads, head_dim = layer.head_dim();
  {
    Scratch<float> queries(layer.scratch, uint64_t(n) * heads * head_dim);
    Scratch<uint32_t> positions(layer.scratch, n);
    const auto* rows = reinterpret_cast<const float*>(layer.queries.data);
    for (uint32_t i = 0; i < n; i++) {
      positions[i] = first_new() + coming_ - n + i;
      for (uint32_t h = 0; h < heads; h++)
        std::copy_n(rows + (uint64_t(i) * heads + h) * head_dim, head_dim, &queries[(uint64_t(h) * n + i) * head_dim]);
    }
    with_rows(layer, "window.observe", [&](const sluice_rows* readable) {
      layer.rules().window->observe(layer.rules().evictor->self(), layer.state.data, &layer.lanes, n, queries.data(),
                                    positions.data(), readable);
      return sluice_status(SLUICE_OK);
    });
  }
  layer.scratch.release(layer.queries);
  layer.window = 0;
}

// Lets tokens go until lanes hold budget - interval + 1 of them, in the mean where they may differ.
void SequenceCache::evict(LayerCache& layer) {
  const uint32_t lanes = policy_->evictor_lanes(), target = layer.budget - policy_->interval + 1;
  const uint64_t total = layer.live_sum() - uint64_t(lanes) * target;
  const LayerPolicy& rules = layer.rules();
  const Instance& evictor = *rules.evictor;
  void* state = layer.state.data;
  Scratch<uint32_t> counts(layer.scratch, lanes), victims(layer.scratch, total + kGuard / sizeof(uint32_t));
  // What the evictor does not write must not look like a victim of the layer before.
  std::fill_n(victims.data(), total, SLUICE_FREE);
  const uint64_t victim_bytes = total * sizeof(uint32_t);
  set_guard(victims.data(), victim_bytes);
  const char* verb = "select";
  if (rules.ragged()) {
    split(layer, total, counts.data());
    with_rows(layer, verb = "budget.select", [&](const sluice_rows* rows) {
      return rules.budget->select(evictor.self(), state, &layer.lanes, counts.data(), rows, victims.data());
    });
  } else {
    for (uint32_t lane = 0; lane < lanes; lane++) counts[lane] = layer.pools[lane].live - target;
    if (rules.rows) {
      with_rows(layer, verb = "rows.select", [&](const sluice_rows* rows) {
        return rules.rows->select(evictor.self(), state, &layer.lanes, counts[0], rows, victims.data());
      });
    } else {
      const sluice_evictor& table = policy_->evictor(layer.index);
      evictor.call(verb, table.select, state, &layer.lanes, counts[0], victims.data());
      check_guard(layer, verb);
    }
  }
  check_guard(evictor, verb, victims.data(), victim_bytes, "its victims");
  const bool record = recorded_layer_ == int32_t(layer.index);
  if (record) recorded_.resize(lanes);
  const uint32_t* named = victims.data();  // of the lane
  for (uint32_t h = 0; h < layer.kv_heads(); h++) {
    const uint32_t lane = layer.lane_of(h), n = counts[lane];
    uint32_t* pos = layer.slot_pos(h);
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t slot = named[i];
      if (slot >= layer.capacity || pos[slot] == SLUICE_FREE)
        throw Error(fmt::format("evictor {}, {}: victim {} of lane {} is slot {}, which holds no token or was named "
                                "twice",
                                evictor.module().name, verb, i, lane, slot),
                    kExitFailed);
      if (record && h < lanes) recorded_[lane].push_back(pos[slot]);
      pos[slot] = SLUICE_FREE;
      // Rows without a codec go with the mask; coded ones when drop_dead_rows() or compact_blocks() meet them.
      if (rules.coded()) {
        for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
          if (!rules.codec[which]) let_go(layer, h, slot);
      } else if (h < lanes) {
        layer.pools[lane].free.push(uint16_t(slot), layer.memory);
      }
    }
    if (!policy_->layer_granularity) named += n;
    layer.counters.evicted += n;
  }
  for (uint32_t lane = 0; lane < lanes; lane++) layer.pools[lane].live -= counts[lane];
  if (layer.ranked())
    for (uint32_t h = 0; h < layer.kv_heads(); h++) close_ranks(layer, h);
  push_slots(layer);
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
      if (rules.simulated[which]) drop_dead_uncoded(layer, h, which);
}

// Whether a lane would not have room for the next step's tokens in `capacity` slots; to_dead: because of slots that
// dead tokens' rows hold.
bool SequenceCache::lacks_slots(const LayerCache& layer, uint32_t capacity, bool to_dead) const {
  return std::any_of(layer.pools.begin(), layer.pools.end(), [&](const SlotPool& pool) {
    const uint32_t taken = layer.capacity - pool.free.count;
    return taken + step_tokens() > capacity && (!to_dead || taken > pool.live);
  });
}

// Whether dense rows of tokens that left take much of some head's memory: without a codec their places are only used
// again by tokens of the same head, and where heads differ one may shrink for good.
bool SequenceCache::sparse(const LayerCache& layer) const {
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      const uint32_t live = layer.live(h);
      if (!layer.rules().codec[which] && layer.side(h, which).rows > live + gather() + std::max(16u, live / 4))
        return true;
    }
  return false;
}

// What the policy does after rows came: observe, evict, compact, encode. Evict before encode: what is about to go
// is never coded.
void SequenceCache::settle(LayerCache& layer, uint32_t prompt) {
  const LayerPolicy& rules = layer.rules();
  if (layer.evicting()) {
    const bool over = layer.live_sum() > uint64_t(policy_->evictor_lanes()) * layer.budget;
    // Where lanes differ, one may outgrow its slots: all tokens are known to the evictor before they get new ones.
    const bool grows = rules.ragged() && lacks_slots(layer, layer.capacity, false);
    if (prompt || over || grows || layer.window || layer.pending_positions.count >= policy_->interval)
      observe(layer, prompt);
    if (layer.window) hand_over_window(layer);
    if (over) evict(layer);
    auto tidy = [&](double share) {
      for (uint32_t h = 0; h < layer.kv_heads(); h++)
        for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
          if (rules.codec[which]) drop_dead_rows(layer, h, which), compact_blocks(layer, h, which, share);
    };
    if (over && rules.coded()) tidy(policy_->compact);
    const uint32_t narrow = std::min(narrow_capacity(layer), kMostSlots);
    const bool move =
        prompt || (rules.ragged() && (lacks_slots(layer, layer.capacity, false) || (over && sparse(layer))));
    // Tombstones hold slots: when what is left is not enough for the next step, they go early.
    if (rules.coded() && lacks_slots(layer, move ? narrow : layer.capacity, true)) tidy(1.0);
    if (move) renumber(layer, narrow, 0);
    if (rules.ragged() && lacks_slots(layer, layer.capacity, false) && layer.capacity < max_tokens_)
      throw Error(
          fmt::format("evictor {}, budget.split: a lane of layer {} would need more than the {} slots that a lane "
                      "that loses tokens can have; use a smaller budget",
                      rules.evictor->module().name, layer.index, kMostSlots),
          kExitFailed);
  }
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
      if (rules.codec[which])
        encode_tail(layer, h, which, prompt);
      else if (rules.simulated[which])
        simulate_tail(layer, h, which, prompt);
}

void SequenceCache::end_layer(uint32_t layer) { settle(layers_[layer], 0); }
void SequenceCache::end_prompt_layer(uint32_t layer) { settle(layers_[layer], 1); }

}  // namespace sluice
