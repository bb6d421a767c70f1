// See layer_cache.h: slot tables and evictor state, which slots are free, and giving tokens new ones.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "core/base/error.h"
#include "core/cache/layer_cache.h"

namespace sluice {
namespace {

constexpr uint8_t kGuardByte = 0xA5;

// Tables and evictor state of some capacity, all free; the evictor is not told yet. Released unless installed.
struct Slots {
  Memory memory;
  Piece tables, device_tables, state;
  uint64_t state_bytes = 0;
  sluice_lanes lanes{};
  Slots(const LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt);
  Slots(const Slots&) = delete;
  ~Slots() { memory.release(tables), memory.free_rows(device_tables), memory.release(state); }
};

Slots::Slots(const LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt) : memory(layer.memory) {
  const Policy& policy = *layer.policy;
  const Instance& evictor = *layer.rules().evictor;
  lanes = {layer.index, policy.evictor_lanes(), capacity, budget, policy.interval, prompt};
  state_bytes =
      sane_bytes(evictor, "state_size", evictor.call("state_size", policy.evictor(layer.index).state_size, &lanes));
  const uint64_t words = uint64_t(layer.kv_heads()) * capacity;
  tables = memory.allocate(words * sizeof(uint32_t) * (1 + layer.wants_signal() + layer.ranked()));
  try {
    state = memory.allocate(state_bytes + kGuard);
    if (memory.rows) device_tables = memory.allocate_rows(words * sizeof(uint32_t) * (1 + layer.wants_signal()));
  } catch (...) {
    memory.release(tables), memory.release(state);
    throw;
  }
  std::memset(tables.data, 0xFF, words * sizeof(uint32_t));
  std::memset(tables.data + words * 4, 0, tables.bytes - words * 4);
  std::memset(state.data, 0, state.bytes);
  set_guard(state.data, state_bytes);
}

// The layer's tables and state become these; the old ones go with `slots`.
void install(Slots& slots, LayerCache& layer) {
  std::swap(layer.tables, slots.tables), std::swap(layer.state, slots.state);
  std::swap(layer.device_tables, slots.device_tables);
  layer.state_bytes = slots.state_bytes, layer.lanes = slots.lanes, layer.capacity = slots.lanes.capacity;
}

void fill_pool(LayerCache& layer, SlotPool& pool, uint32_t used) {
  pool.free.count = 0;
  pool.free.reserve(layer.capacity, layer.memory);
  for (uint32_t s = layer.capacity; s-- > used;) pool.free.push(uint16_t(s), layer.memory);
}

}  // namespace

void set_guard(void* memory, uint64_t bytes) {
  std::memset(static_cast<std::byte*>(memory) + bytes, kGuardByte, kGuard);
}

void check_guard(const Instance& module, std::string_view verb, const void* memory, uint64_t bytes,
                 std::string_view what) {
  const auto* guard = static_cast<const uint8_t*>(memory) + bytes;
  if (!std::all_of(guard, guard + kGuard, [](uint8_t b) { return b == kGuardByte; }))
    throw Error(fmt::format("{}, {}: wrote past {} of {} bytes", module.who(), verb, what, bytes), kExitFailed);
}

void check_guard(const LayerCache& layer, std::string_view verb) {
  check_guard(*layer.rules().evictor, verb, layer.state.data, layer.state_bytes, "its state");
}

void create_slots(LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt) {
  Slots slots(layer, capacity, budget, prompt);
  install(slots, layer);
  const Instance& evictor = *layer.rules().evictor;
  try {
    evictor.call("reset", layer.policy->evictor(layer.index).reset, layer.state.data, &layer.lanes);
  } catch (const Error& error) {  // a budget may be wrong in one of many rows
    throw Error(fmt::format("policy {}: {}", layer.policy->name, error.what()), error.code());
  }
  check_guard(layer, "reset");
  push_slots(layer, true);
  while (layer.pools.count < layer.policy->evictor_lanes()) layer.pools.push({}, layer.memory);
  for (SlotPool& pool : layer.pools) {
    fill_pool(layer, pool, 0);
    if (!layer.rules().coded()) continue;
    pool.holders.release(layer.memory);
    pool.holders.reserve(capacity, layer.memory);
    pool.holders.count = capacity;
    std::fill(pool.holders.begin(), pool.holders.end(), uint16_t(0));
  }
}

void create_record(LayerCache& layer, uint32_t capacity) {
  const uint64_t words = uint64_t(layer.kv_heads()) * capacity;
  layer.tables = layer.memory.allocate(words * 8);
  layer.capacity = capacity;
  for (uint32_t h = 0; h < layer.kv_heads(); h++) std::iota(layer.slot_pos(h), layer.slot_pos(h) + capacity, 0u);
  std::memset(layer.tables.data + words * 4, 0, layer.tables.bytes - words * 4);
  if (layer.memory.rows) layer.device_tables = layer.memory.allocate_rows(words * 8);
  push_slots(layer, true);
}

void push_slots(const LayerCache& layer, bool signal) {
  if (!layer.device_tables) return;
  const uint64_t words = layer.table_cells() * (signal && layer.wants_signal() ? 2 : 1);
  layer.memory.write_rows(layer.device_tables.data, layer.tables.data, words * sizeof(uint32_t));
}

void pull_signal(const LayerCache& layer) {
  if (!layer.device_tables || !layer.wants_signal()) return;
  layer.memory.read_rows(layer.attended_signal(), layer.signal(0), layer.table_cells() * sizeof(float));
}

void clear_signal(const LayerCache& layer) {
  std::memset(layer.signal(0), 0, layer.table_cells() * sizeof(float));
  if (layer.device_tables) layer.memory.zero_rows(layer.attended_signal(), layer.table_cells() * sizeof(float));
}

uint32_t take_slot(LayerCache& layer, uint32_t lane) {
  SlotPool& pool = layer.pools[lane];
  assert(pool.free.count > 0);
  const uint32_t slot = pool.free[--pool.free.count];
  if (pool.holders.count) pool.holders[slot] = uint16_t(layer.policy->layer_granularity ? 2 * layer.kv_heads() : 2);
  return slot;
}

void let_go(LayerCache& layer, uint32_t head, uint32_t slot) {
  SlotPool& pool = layer.pools[layer.lane_of(head)];
  assert(pool.holders[slot] > 0);
  if (--pool.holders[slot] == 0) pool.free.push(uint16_t(slot), layer.memory);
}

namespace {

// New slots of an evictor's lane: live tokens by position, then dead ones whose rows still lie in blocks.
// Returns how many are taken; to[s] is SLUICE_FREE for a slot that nothing holds.
uint32_t new_numbers(const LayerCache& layer, uint32_t lane, uint32_t* to) {
  const uint32_t head = layer.policy->layer_granularity ? 0 : lane;
  const uint32_t* pos = layer.slot_pos(head);
  const SlotPool& pool = layer.pools[lane];
  Scratch<uint32_t> live(layer.scratch, layer.capacity + 1);
  uint32_t n = 0;
  for (uint32_t s = 0; s < layer.capacity; s++) {
    to[s] = SLUICE_FREE;
    if (pos[s] != SLUICE_FREE) live[n++] = s;
  }
  std::sort(live.data(), live.data() + n, [&](uint32_t a, uint32_t b) { return pos[a] < pos[b]; });
  for (uint32_t i = 0; i < n; i++) to[live[i]] = i;
  for (uint32_t s = 0; s < pool.holders.count; s++)
    if (pool.holders[s] && to[s] == SLUICE_FREE) to[s] = n++;
  return n;
}

// Live rows to their new places by way of the host: segments come and go as a whole.
void carry_rows(LayerCache& layer, const Side& from, const Side& moved, const uint32_t* pos, const uint32_t* to,
                uint32_t live) {
  const uint32_t head_dim = layer.head_dim();
  Scratch<uint16_t> old(layer.scratch, uint64_t(from.rows) * head_dim + 1),
      fresh(layer.scratch, uint64_t(live) * head_dim + 1);
  const auto segments = [&](uint32_t rows, auto&& use) {
    for (uint32_t first = 0; first < rows; first += kSegmentRows)
      use(first, uint64_t(std::min(kSegmentRows, rows - first)) * head_dim * sizeof(uint16_t));
  };
  segments(from.rows, [&](uint32_t first, uint64_t bytes) {
    layer.memory.read_rows(from.row(first, head_dim), &old[uint64_t(first) * head_dim], bytes);
  });
  for (uint32_t s = 0; s < from.rows; s++)
    if (pos[s] != SLUICE_FREE)
      std::memcpy(&fresh[uint64_t(to[s]) * head_dim], &old[uint64_t(s) * head_dim], head_dim * sizeof(uint16_t));
  segments(live, [&](uint32_t first, uint64_t bytes) {
    layer.memory.write_rows(moved.row(first, head_dim), &fresh[uint64_t(first) * head_dim], bytes);
  });
}

void move_side(LayerCache& layer, uint32_t head, uint32_t which, const uint32_t* to) {
  Side& side = layer.side(head, which);
  const uint32_t* pos = layer.slot_pos(head);
  const uint32_t head_dim = layer.head_dim();
  if (layer.rules().codec[which]) {
    for (uint16_t& slot : side.slots) slot = uint16_t(to[slot]);
    for (uint32_t i = 0; i < side.blocks.count; i++) {
      Scratch<uint32_t> slots(layer.scratch, side.spans[i].rows);
      for (uint32_t r = 0; r < side.spans[i].rows; r++) slots[r] = to[slot_of(side.spans[i], r)];
      place_block(side.spans[i], side.blocks[i], slots.data(), side.spans[i].rows, layer.memory);
    }
    return;
  }
  for (uint32_t& slot : side.uncoded) slot = to[slot];
  uint32_t live = 0;
  bool same = true;  // nobody left and nobody moves: the rows may stay, even shared ones
  for (uint32_t s = 0; s < side.rows; s++) live += pos[s] != SLUICE_FREE, same &= pos[s] != SLUICE_FREE && to[s] == s;
  if (!same) {
    Side moved;
    try {
      grow_rows(moved, live, head_dim, layer.memory);
    } catch (...) {
      release_rows(moved, layer.memory), moved.segments.release(layer.memory);
      throw;
    }
    if (layer.memory.rows) {
      carry_rows(layer, side, moved, pos, to, live);
    } else {
      for (uint32_t s = 0; s < side.rows; s++)
        if (pos[s] != SLUICE_FREE)
          std::memcpy(moved.row(to[s], head_dim), side.row(s, head_dim), head_dim * sizeof(uint16_t));
    }
    release_rows(side, layer.memory);
    side.segments.release(layer.memory);
    side.segments = moved.segments;
  }
  side.rows = live;
}

}  // namespace

void renumber(LayerCache& layer, uint32_t capacity, uint32_t prompt) {
  const uint32_t lanes = layer.policy->evictor_lanes(), old = layer.capacity;
  pull_signal(layer);
  Scratch<uint32_t> to(layer.scratch, uint64_t(lanes) * old), told(layer.scratch, uint64_t(lanes) * old);
  Scratch<uint32_t> taken(layer.scratch, lanes);
  for (uint32_t lane = 0; lane < lanes; lane++) {
    taken[lane] = new_numbers(layer, lane, &to[uint64_t(lane) * old]);
    assert(taken[lane] <= capacity);
    const uint32_t* pos = layer.slot_pos(layer.policy->layer_granularity ? 0 : lane);
    for (uint32_t s = 0; s < old; s++)
      told[uint64_t(lane) * old + s] = pos[s] == SLUICE_FREE ? SLUICE_FREE : to[uint64_t(lane) * old + s];
  }
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) move_side(layer, h, which, &to[uint64_t(layer.lane_of(h)) * old]);
  const Instance& evictor = *layer.rules().evictor;
  Slots s(layer, capacity, layer.lanes.budget, prompt);
  evictor.call("resize", layer.policy->evictor(layer.index).resize, s.state.data, &s.lanes, layer.state.data,
               &layer.lanes, told.data());
  check_guard(evictor, "resize", s.state.data, s.state_bytes, "its state");
  auto* pos = reinterpret_cast<uint32_t*>(s.tables.data);
  for (uint32_t h = 0; h < layer.kv_heads(); h++) {
    const uint32_t* move = &to[uint64_t(layer.lane_of(h)) * old];
    const uint32_t* from = layer.slot_pos(h);
    float* signal = layer.wants_signal()
                        ? reinterpret_cast<float*>(pos + uint64_t(layer.kv_heads()) * capacity) + uint64_t(h) * capacity
                        : nullptr;
    uint32_t* ranks =
        layer.ranked() ? pos + (uint64_t(layer.kv_heads()) * (1 + layer.wants_signal()) + h) * capacity : nullptr;
    for (uint32_t i = 0; i < old; i++) {
      if (move[i] == SLUICE_FREE) continue;
      pos[uint64_t(h) * capacity + move[i]] = from[i];
      if (signal) signal[move[i]] = layer.signal(h)[i];
      if (ranks) ranks[move[i]] = layer.rank(h)[i];
    }
  }
  for (uint32_t i = 0; i < layer.pending_slots.count; i++)
    layer.pending_slots[i] = to[uint64_t(i % lanes) * old + layer.pending_slots[i]];
  install(s, layer);
  push_slots(layer, true);
  for (uint32_t lane = 0; lane < lanes; lane++) {
    SlotPool& pool = layer.pools[lane];
    if (pool.holders.count) {
      ArenaArray<uint16_t> holders;
      holders.reserve(capacity, layer.memory);
      holders.count = capacity;
      std::fill(holders.begin(), holders.end(), uint16_t(0));
      for (uint32_t i = 0; i < old; i++)
        if (to[uint64_t(lane) * old + i] != SLUICE_FREE) holders[to[uint64_t(lane) * old + i]] = pool.holders[i];
      pool.holders.release(layer.memory);
      pool.holders = holders;
    }
    pool.free.release(layer.memory);
    fill_pool(layer, pool, taken[lane]);
  }
}

}  // namespace sluice
