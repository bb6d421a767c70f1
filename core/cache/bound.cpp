// See sequence_cache.h: the most that a sequence can take, from what it is made for and what its modules promise. It
// follows lane.cpp, slots.cpp and blocks.cpp piece by piece; whoever changes what they allocate changes it here.
#include <algorithm>

#include "core/cache/layer_cache.h"
#include "core/cache/sequence_cache.h"

namespace sluice {
namespace {

uint64_t units(uint64_t bytes) { return std::max<uint64_t>((bytes + 63) / 64 * 64, 64); }

// An ArenaArray that was filled one by one: twice what it holds, or its first piece.
uint64_t array(uint64_t count, uint64_t size) { return units(std::max(128 / size + 1, 2 * count) * size); }

// A layer's figures, and the sums.
struct LayerBound {
  const LayerCache& layer;
  uint64_t row_bytes, heads, lanes;
  uint64_t total, prompt, prefix;  // tokens: all, of the prompt that is its own, of the snapshot
  uint64_t narrow;                 // slots while decoding
  uint64_t gather;                 // tokens between two evictions and one more
  CacheBound bytes;

  uint64_t whole() const { return prompt > 0 ? prefix + prompt : 0; }
  // Rows in segments, full ones and a last one of a multiple of 16.
  uint64_t dense(uint64_t rows) const { return rows == 0 ? 0 : (rows + 15) / 16 * 16 * row_bytes; }
  uint64_t segments(uint64_t rows) const { return array(rows / kSegmentRows + 1, sizeof(Segment)); }

  void side(uint32_t which, double compact);
  void tables();
  uint64_t slots(uint64_t capacity, bool for_prompt) const;
  uint64_t coding(uint32_t which, uint64_t rows) const;
  uint64_t block_bytes(uint32_t which, uint64_t rows) const;
};

uint64_t LayerBound::block_bytes(uint32_t which, uint64_t rows) const {
  const Instance& codec = *layer.rules().codec[which];
  return sane_bytes(codec, "bound",
                    codec.call("bound", layer.policy->codec(layer.index, which).bound, which, uint32_t(rows)));
}

// What is at hand while `rows` rows become a block.
uint64_t LayerBound::coding(uint32_t which, uint64_t rows) const {
  const Instance& codec = *layer.rules().codec[which];
  const uint64_t scratch =
      sane_bytes(codec, "scratch",
                 codec.call("scratch", layer.policy->codec(layer.index, which).scratch, which, uint32_t(rows), 0u));
  return units(rows * row_bytes * 2) + units(rows * 4) + units(scratch + kGuard) +
         2 * units(block_bytes(which, rows) + kGuard);
}

// K or V of all heads.
void LayerBound::side(uint32_t which, double compact) {
  const LayerPolicy& rules = layer.rules();
  const bool evicts = rules.evictor, coded = rules.codec[which];
  const uint64_t longest = std::max(whole(), evicts ? narrow : total);
  uint64_t held = segments(longest), step = units(kSegmentRows * row_bytes) + segments(longest);
  uint64_t prompt_rows = heads * dense(whole());  // also a snapshot's, which are copied where rows move
  if (!coded && !evicts) {
    held += dense(total - prefix / kSegmentRows * kSegmentRows);
    prompt_rows = 0;  // they stay
  } else if (!coded) {
    // Heads of their own length together hold what equal ones would, a quarter of it may lie idle (sparse()).
    const uint64_t rows = rules.ragged() ? std::min(layer.budget * 5 / 4 + 2 * gather + 16, narrow) : narrow;
    held += dense(rows + 15);
  } else {
    const sluice_codec_plan& plan = rules.plan[which];
    const uint64_t most = plan.max_rows / plan.block_rows * plan.block_rows;
    const uint64_t tail = std::min(longest, uint64_t(plan.residual) + plan.block_rows + gather);
    const uint64_t small = block_bytes(which, plan.block_rows), blocks = total / plan.block_rows + 1;
    held += 2 * array(blocks, std::max(sizeof(sluice_span), sizeof(CodedBlock)));
    if (!evicts) {
      // A prompt's blocks are as large as may be, later ones small; each begins a unit of its own.
      uint64_t rows = whole() > plan.residual ? (whole() - plan.residual) / plan.block_rows * plan.block_rows : 0;
      const uint64_t later = (total - rows) / plan.block_rows + 1;
      for (; rows > 0; rows -= std::min(rows, most)) held += units(block_bytes(which, std::min(rows, most)));
      held += dense(tail) + later * units(small);
    } else {
      // A block that was thinned out takes no more than dense rows, or it would be rescued; each row has a slot.
      const uint64_t live = rules.ragged() ? std::min(layer.budget * 5 / 4 + 2 * gather + 16, narrow) : narrow;
      const uint64_t slots = std::min(narrow, uint64_t(double(live) / compact) + gather);
      const uint64_t row = std::max(row_bytes, (small + plan.block_rows - 1) / plan.block_rows);
      held += slots * row + dense(tail) + array(longest, 2) + 2 * slots + 128 * std::min(blocks, slots);
    }
    step += coding(which, plan.block_rows) + units(64 * row_bytes * 2) +
            2 * units(std::min<uint64_t>(plan.max_rows, total) * 4) + array(longest, 2) +
            array(blocks, sizeof(CodedBlock));
    if (whole() >= plan.block_rows)
      bytes.prompt += coding(which, std::min(most, whole() / plan.block_rows * plan.block_rows));
  }
  if (rules.simulated[which]) held += array(longest, sizeof(uint32_t));
  bytes.held += heads * held;
  bytes.prompt += prompt_rows + step;
  bytes.step += step;
}

// Slot tables, free lists and the evictor's state.
uint64_t LayerBound::slots(uint64_t capacity, bool for_prompt) const {
  const Policy& policy = *layer.policy;
  const sluice_lanes shape{layer.index,  policy.evictor_lanes(), uint32_t(capacity),
                           layer.budget, policy.interval,        for_prompt ? 1u : 0u};
  const Instance& evictor = *layer.rules().evictor;
  const uint64_t state =
      sane_bytes(evictor, "state_size", evictor.call("state_size", policy.evictor(layer.index).state_size, &shape));
  const uint64_t attended = layer.memory.rows ? units(heads * capacity * 4 * (1 + layer.wants_signal())) : 0;
  return units(heads * capacity * 4 * (1 + layer.wants_signal() + layer.ranked())) + attended + units(state + kGuard) +
         lanes * units(capacity * 2) * (layer.rules().coded() ? 2 : 1);
}

void LayerBound::tables() {
  const LayerPolicy& rules = layer.rules();
  bytes.held += array(2 * heads, sizeof(Side)) + array(lanes, sizeof(SlotPool));
  if (!layer.evicting()) {
    if (layer.wants_signal()) bytes.held += units(heads * total * 8) * (layer.memory.rows ? 2 : 1);
    return;
  }
  const uint64_t wide = std::max(whole(), narrow);
  const uint64_t pending = array(std::max(whole(), gather) * lanes, 4) + array(std::max(whole(), gather), 4);
  bytes.held += slots(narrow, false) + pending;
  // Renumbering has old and new tables and three maps at hand; choosing victims a list of them.
  auto moving = [&](uint64_t capacity) {
    uint64_t sum = units(lanes * capacity * 4) * 3 + units((capacity + 1) * 4) + slots(narrow, false);
    if (rules.rows || rules.window || rules.budget) sum += units(heads * 2 * capacity * 8);
    return sum + units(lanes * capacity * 4 + kGuard);
  };
  bytes.step += moving(narrow) + pending;
  bytes.prompt += moving(wide) + slots(wide, true) + heads * 2 * dense(narrow) + pending;
  if (rules.window) bytes.prompt += 2 * units(rules.window_size * layer.policy->geometry.heads * row_bytes * 2);
}

}  // namespace

CacheBound SequenceCache::bound(uint32_t prompt, uint32_t prefix) const {
  const sluice_geometry& g = policy_->geometry;
  const uint64_t row_bytes = uint64_t(g.head_dim) * sizeof(uint16_t), lanes = policy_->evictor_lanes();
  CacheBound sum;
  uint64_t keys = 0;
  for (uint32_t l = 0; l < g.layers; l++) {
    const LayerCache& layer = layers_[l];
    uint64_t narrow = max_tokens_;
    if (layer.evicting() && !layer.rules().ragged()) narrow = std::min(narrow_capacity(layer), max_tokens_);
    LayerBound bound{layer, row_bytes, g.kv_heads, lanes, max_tokens_, prompt, prefix, narrow, gather(), {}};
    bound.tables();
    for (const uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) bound.side(which, policy_->compact);
    sum.held += bound.bytes.held;
    sum.prompt = std::max(sum.prompt, bound.bytes.prompt);
    sum.step = std::max(sum.step, bound.bytes.step);
    keys = std::max(
        keys, layer.evicting() ? narrow : (uint64_t(max_tokens_) + kSegmentRows - 1) / kSegmentRows * kSegmentRows);
  }
  if (rolling()) {
    const uint64_t whole = uint64_t(prefix) + prompt;
    sum.held += g.kv_heads * ((keys + 31) / 32 * 32) * row_bytes;
    sum.prompt += g.kv_heads * ((whole + 31) / 32 * 32) * row_bytes;
  }
  return sum;
}

}  // namespace sluice
