// One layer of a sequence's cache: its lanes, slot tables and evictor state, and the moves that keep them in
// step (drop dead rows, compact and rescue blocks, encode the tail, renumber slots). When a move is due is
// decided in settle.cpp.
#pragma once

#include <algorithm>

#include "core/cache/lane.h"
#include "core/cache/policy.h"
#include "core/cache/sequence_cache.h"

namespace sluice {

struct LayerCache {
  uint32_t index = 0;
  const Policy* policy = nullptr;
  Memory memory{};   // of the sequence
  Memory scratch{};  // for the length of a call

  uint32_t capacity = 0;  // slots per lane where tokens are evicted or watched; 0 while there are no tables
  // slot_pos [kv_heads][capacity], then signal [kv_heads][capacity] if one is wanted, then ranks if they are kept
  Piece tables;
  // A copy of slot_pos and signal where attention reads them, if that is not the host's memory: push_slots() brings the
  // first up to date there, pull_signal() the second here.
  Piece device_tables;
  Piece state;               // of the evictor, then a guard line that it must not touch
  uint64_t state_bytes = 0;  // of the evictor's
  sluice_lanes lanes{};
  uint32_t budget = 0;                     // tokens per lane, the mean over lanes
  uint32_t came = 0;                       // tokens per lane that ever came
  ArenaArray<Side> sides;                  // [kv_heads][2]
  ArenaArray<SlotPool> pools;              // [evictor lanes]
  ArenaArray<uint32_t> pending_slots;      // [row][evictor lane]: tokens the evictor has not been told of
  ArenaArray<uint32_t> pending_positions;  // [row]
  // The last queries of the prompt under way, for evictors that want them: float [window][heads * head_dim].
  Piece queries;  // of `scratch`
  uint32_t window = 0;
  CacheCounters counters;

  const LayerPolicy& rules() const { return policy->layers[index]; }
  uint32_t head_dim() const { return policy->geometry.head_dim; }
  uint32_t kv_heads() const { return policy->geometry.kv_heads; }
  bool evicting() const { return rules().evictor != nullptr; }
  bool wants_signal() const { return rules().wants_signal(); }
  bool ranked() const { return policy->rolling && evicting(); }
  Side& side(uint32_t head, uint32_t which) const { return sides[head * 2 + which]; }
  uint32_t lane_of(uint32_t head) const { return policy->layer_granularity ? 0 : head; }
  uint32_t live(uint32_t head) const { return pools.count ? pools[lane_of(head)].live : came; }  // tokens of its lane
  uint64_t live_sum() const {  // over the evictor's lanes
    uint64_t sum = 0;
    for (const SlotPool& pool : pools) sum += pool.live;
    return sum;
  }
  uint32_t most_live() const {  // of an evictor's lane
    uint32_t most = 0;
    for (const SlotPool& pool : pools) most = std::max(most, pool.live);
    return most;
  }
  uint32_t* slot_pos(uint32_t head) const {
    return reinterpret_cast<uint32_t*>(tables.data) + uint64_t(head) * capacity;
  }
  float* signal(uint32_t head) const {
    return wants_signal() ? reinterpret_cast<float*>(slot_pos(kv_heads())) + uint64_t(head) * capacity : nullptr;
  }
  // As attention has them, lane 0's first.
  uint32_t* attended_pos() const {
    return reinterpret_cast<uint32_t*>(device_tables ? device_tables.data : tables.data);
  }
  float* attended_signal() const {
    return wants_signal() ? reinterpret_cast<float*>(attended_pos() + uint64_t(kv_heads()) * capacity) : nullptr;
  }
  uint64_t table_cells() const { return uint64_t(kv_heads()) * capacity; }
  // By slot: how many tokens of the lane are older. NULL where it is not kept: slots are ranks, or nobody asks.
  uint32_t* rank(uint32_t head) const {
    return ranked() ? slot_pos(kv_heads() * (wants_signal() ? 2 : 1) + head) : nullptr;
  }
  sluice_block block(uint32_t head, uint32_t which, uint32_t i) const {
    const Side& s = side(head, which);
    return {index, head, which, s.spans[i].rows, s.blocks[i].seed, s.blocks[i].prompt, 0};
  }
};

// Fresh tables, pools and evictor state of `capacity` slots for a layer that holds nothing yet; `prompt`: for a
// prompt's rows, until renumber() makes it a state for decoding.
void create_slots(LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt);
// The same for a snapshot's layer, which gathers a signal for others: slot s holds the token at position s.
void create_record(LayerCache& layer, uint32_t capacity);
void release_layer(LayerCache& layer);
// Throws Error if the evictor wrote past its state in `verb`, just called.
void check_guard(const LayerCache& layer, std::string_view verb);
// The same for any memory that a plugin is given to write `bytes` to, with kGuard more behind it that were set before.
inline constexpr uint64_t kGuard = 64;
void set_guard(void* memory, uint64_t bytes);
void check_guard(const Instance& module, std::string_view verb, const void* memory, uint64_t bytes,
                 std::string_view what);

// Slot tables that the host changed go to where attention reads them; with `signal` both go.
void push_slots(const LayerCache& layer, bool signal = false);
// What attention gathered so far, in the host's tables.
void pull_signal(const LayerCache& layer);
void clear_signal(const LayerCache& layer);

// Takes the next free slot of an evictor's lane. There is one: settle() sees to it.
uint32_t take_slot(LayerCache& layer, uint32_t lane);
// A side no longer holds a row of this dead token; the slot is free when none does.
void let_go(LayerCache& layer, uint32_t head, uint32_t slot);

// Ranks of the tokens that are left, in their old order, once some of the lane have gone.
void close_ranks(LayerCache& layer, uint32_t head);

// Removes dead tokens' rows from a coded side's dense rows.
void drop_dead_rows(LayerCache& layer, uint32_t head, uint32_t side);
// Drops blocks without live rows; retains live rows of blocks whose live share is below `share`; moves rows
// that would take more coded than dense to the side list.
void compact_blocks(LayerCache& layer, uint32_t head, uint32_t side, double share);
// Codes the oldest tail rows while block_rows and residual have gathered: a block at a time when decoding, as
// few blocks as max_rows allows for a prompt.
void encode_tail(LayerCache& layer, uint32_t head, uint32_t side, bool prompt);
// The same for a codec that is simulated: rows are coded and decoded where they lie.
void simulate_tail(LayerCache& layer, uint32_t head, uint32_t side, bool prompt);
// Forgets which of the rows that a simulated codec has not seen belonged to tokens that left.
void drop_dead_uncoded(LayerCache& layer, uint32_t head, uint32_t side);
// Gives all tokens new slots, 0 .. in order of position, in tables of `capacity` slots, which hold them all.
void renumber(LayerCache& layer, uint32_t capacity, uint32_t prompt);

// Bytes of the layer by kind.
void account_layer(const LayerCache& layer, Ledger& ledger);
uint64_t shared_bytes(const LayerCache& layer);
// A copy of everything but shared segments, in the memory of `to`, which holds nothing yet. What it has copied where it
// throws is for release_layer().
void copy_layer(const LayerCache& from, LayerCache& to);

}  // namespace sluice
