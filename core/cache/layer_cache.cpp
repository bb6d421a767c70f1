#include "core/cache/layer_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>

#include "core/base/error.h"
#include "core/base/half.h"

namespace sluice {
namespace {

constexpr uint64_t kGuard = 64;  // bytes behind an evictor's state
constexpr uint8_t kGuardByte = 0xA5;

uint32_t slot_of(const sluice_span& span, uint32_t row) { return span.slot_base + (span.slots ? span.slots[row] : row); }

// A block's slots: a run if they are consecutive, else a stored map. Returns the span's two members.
void place_block(sluice_span& span, CodedBlock& block, const uint32_t* slots, uint32_t n, const Memory& memory) {
  memory.release(block.map);
  bool run = true;
  for (uint32_t r = 1; r < n; r++) run &= slots[r] == slots[0] + r;
  span.rows = n;
  if (run) {
    span.slots = nullptr, span.slot_base = slots[0];
    return;
  }
  block.map = memory.allocate(n * sizeof(uint16_t));
  auto* map = reinterpret_cast<uint16_t*>(block.map.data);
  for (uint32_t r = 0; r < n; r++) map[r] = uint16_t(slots[r]);
  span.slots = map, span.slot_base = 0;
}

// Rows [from, from + n) of `side` become rows [to, to + n), in an order safe for overlap.
void move_rows(Side& side, uint32_t from, uint32_t to, uint32_t n, uint32_t head_dim) {
  const uint64_t bytes = uint64_t(head_dim) * sizeof(uint16_t);
  auto copy = [&](uint32_t i) { std::memcpy(side.row(to + i, head_dim), side.row(from + i, head_dim), bytes); };
  if (to < from) for (uint32_t i = 0; i < n; i++) copy(i);
  if (to > from) for (uint32_t i = n; i-- > 0;) copy(i);
}

uint32_t dense_slot(const LayerCache& layer, const Side& side, uint32_t row) {
  return layer.evicting() ? side.slots[row] : side.first_slot + row;
}

Piece zeroed(const Memory& memory, uint64_t bytes) {
  Piece piece = memory.allocate(bytes);
  std::memset(piece.data, 0, piece.bytes);
  return piece;
}

// Tables and evictor state of `capacity` slots, all free; the evictor is not told yet.
struct Slots {
  Piece tables, state;
  sluice_lanes lanes;
};
Slots new_slots(const LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt) {
  const Policy& policy = *layer.policy;
  Slots s;
  s.lanes = {layer.index, policy.evictor_lanes(), capacity, budget, policy.interval, prompt};
  const uint64_t words = uint64_t(layer.kv_heads()) * capacity;
  s.tables = layer.memory.allocate(words * (layer.wants_signal() ? 8 : 4));
  std::memset(s.tables.data, 0xFF, words * sizeof(uint32_t));
  std::memset(s.tables.data + words * 4, 0, s.tables.bytes - words * 4);
  const uint64_t size = policy.evictor(layer.index).state_size(layer.rules().evictor->self(), &s.lanes);
  s.state = zeroed(layer.memory, size + kGuard);
  std::memset(s.state.data + size, kGuardByte, kGuard);
  return s;
}

void fill_pool(LayerCache& layer, SlotPool& pool, uint32_t used) {
  pool.free.count = 0;
  pool.free.reserve(layer.capacity, layer.memory);
  for (uint32_t s = layer.capacity; s-- > used;) pool.free.push(uint16_t(s), layer.memory);
}

}  // namespace

void create_slots(LayerCache& layer, uint32_t capacity, uint32_t budget, uint32_t prompt) {
  const Slots s = new_slots(layer, capacity, budget, prompt);
  layer.capacity = capacity, layer.tables = s.tables, layer.state = s.state, layer.lanes = s.lanes;
  const Instance& evictor = *layer.rules().evictor;
  evictor.check(layer.policy->evictor(layer.index).reset(evictor.self(), layer.state.data, &layer.lanes), "reset");
  while (layer.pools.count < layer.policy->evictor_lanes()) layer.pools.push({}, layer.memory);
  for (SlotPool& pool : layer.pools) {
    fill_pool(layer, pool, 0);
    if (!layer.rules().coded()) continue;
    pool.holders.release(layer.memory);
    pool.holders.reserve(capacity, layer.memory);
    pool.holders.count = capacity;
    std::memset(pool.holders.data(), 0, capacity);
  }
}

void create_record(LayerCache& layer, uint32_t capacity) {
  const uint64_t words = uint64_t(layer.kv_heads()) * capacity;
  layer.tables = layer.memory.allocate(words * 8);
  layer.capacity = capacity;
  for (uint32_t h = 0; h < layer.kv_heads(); h++) std::iota(layer.slot_pos(h), layer.slot_pos(h) + capacity, 0u);
  std::memset(layer.tables.data + words * 4, 0, layer.tables.bytes - words * 4);
}

void release_layer(LayerCache& layer) {
  for (Side& side : layer.sides) {
    release_rows(side, layer.memory);
    for (CodedBlock& block : side.blocks) release_block(block, layer.memory);
    side.segments.release(layer.memory), side.slots.release(layer.memory);
    side.spans.release(layer.memory), side.blocks.release(layer.memory);
  }
  for (SlotPool& pool : layer.pools) pool.free.release(layer.memory), pool.holders.release(layer.memory);
  layer.sides.release(layer.memory), layer.pools.release(layer.memory);
  layer.pending_slots.release(layer.memory), layer.pending_positions.release(layer.memory);
  layer.memory.release(layer.tables), layer.memory.release(layer.state);
}

uint32_t take_slot(LayerCache& layer, uint32_t lane) {
  SlotPool& pool = layer.pools[lane];
  assert(pool.free.count > 0);
  const uint32_t slot = pool.free[--pool.free.count];
  if (pool.holders.count) pool.holders[slot] = uint8_t(layer.policy->layer_granularity ? 2 * layer.kv_heads() : 2);
  return slot;
}

void let_go(LayerCache& layer, uint32_t head, uint32_t slot) {
  SlotPool& pool = layer.pools[layer.lane_of(head)];
  assert(pool.holders[slot] > 0);
  if (--pool.holders[slot] == 0) pool.free.push(uint16_t(slot), layer.memory);
}

void drop_dead_rows(LayerCache& layer, uint32_t head, uint32_t which) {
  Side& side = layer.side(head, which);
  const uint32_t* pos = layer.slot_pos(head);
  const uint32_t head_dim = layer.head_dim();
  uint32_t to = 0, rescued = 0;
  bool private_rows = false;
  for (uint32_t r = 0; r < side.rows; r++) {
    const uint32_t slot = side.slots[r];
    if (pos[slot] == SLUICE_FREE) {
      let_go(layer, head, slot);
      continue;
    }
    rescued += r < side.rescued;
    if (to != r) {
      if (!private_rows) unshare_rows(side, head_dim, layer.memory), private_rows = true;
      move_rows(side, r, to, 1, head_dim);
      side.slots[to] = uint16_t(slot);
    }
    to++;
  }
  side.rows = side.slots.count = to, side.rescued = rescued;
  trim_rows(side, to, head_dim, layer.memory);
}

namespace {

// Rows of a block that is worth less than dense rows go to the end of the side list.
void rescue(LayerCache& layer, uint32_t head, uint32_t which, uint32_t i) {
  Side& side = layer.side(head, which);
  const Instance& codec = *layer.rules().codec[which];
  const sluice_block header = layer.block(head, which, i);
  const uint32_t n = header.rows, head_dim = layer.head_dim(), tail = side.rows - side.rescued;
  unshare_rows(side, head_dim, layer.memory);
  grow_rows(side, side.rows + n, head_dim, layer.memory);
  side.slots.reserve(side.rows + n, layer.memory);
  move_rows(side, side.rescued, side.rescued + n, tail, head_dim);
  std::memmove(&side.slots[side.rescued + n], &side.slots[side.rescued], tail * sizeof(uint16_t));
  Scratch<float> rows(layer.scratch, uint64_t(64) * head_dim);
  for (uint32_t first = 0; first < n; first += 64) {
    const uint32_t count = std::min(64u, n - first);
    codec.check(layer.policy->codec(layer.index, which).decode(codec.self(), &header, side.spans[i].src, first, count, rows.data()),
                "decode");
    for (uint32_t r = 0; r < count; r++) {
      uint16_t* to = side.row(side.rescued + first + r, head_dim);
      for (uint32_t c = 0; c < head_dim; c++) to[c] = float_to_half(rows[uint64_t(r) * head_dim + c]);
      side.slots[side.rescued + first + r] = uint16_t(slot_of(side.spans[i], first + r));
    }
  }
  side.rows += n, side.rescued += n, side.slots.count = side.rows;
  layer.counters.rescued += n;
  side.spans[i].rows = 0;
  release_block(side.blocks[i], layer.memory);
}

}  // namespace

void compact_blocks(LayerCache& layer, uint32_t head, uint32_t which, double share) {
  Side& side = layer.side(head, which);
  const uint32_t* pos = layer.slot_pos(head);
  const Instance& codec = *layer.rules().codec[which];
  const sluice_codec& table = layer.policy->codec(layer.index, which);
  bool emptied = false;
  for (uint32_t i = 0; i < side.blocks.count; i++) {
    sluice_span& span = side.spans[i];
    CodedBlock& block = side.blocks[i];
    uint32_t live = 0;
    for (uint32_t r = 0; r < span.rows; r++) live += pos[slot_of(span, r)] != SLUICE_FREE;
    if (live == span.rows || (live > 0 && double(live) >= share * span.rows)) continue;
    Scratch<uint32_t> keep(layer.scratch, live + 1), slots(layer.scratch, live + 1);
    uint32_t n = 0;
    for (uint32_t r = 0; r < span.rows; r++) {
      const uint32_t slot = slot_of(span, r);
      if (pos[slot] == SLUICE_FREE) let_go(layer, head, slot);
      else keep[n] = r, slots[n] = slot, n++;
    }
    if (n > 0) {
      const sluice_block header = layer.block(head, which, i);
      size_t bytes = 0;
      codec.check(table.retain(codec.self(), &header, block.piece.data, keep.data(), n, &bytes), "retain");
      block.bytes = bytes;
      layer.memory.shrink(block.piece, bytes);
      place_block(span, block, slots.data(), n, layer.memory);
      layer.counters.retained++;
      if (block.bytes <= uint64_t(n) * layer.head_dim() * sizeof(uint16_t)) continue;
      rescue(layer, head, which, i);
    } else {
      span.rows = 0;
      release_block(block, layer.memory);
    }
    emptied = true;
  }
  if (emptied) drop_empty_blocks(side);
}

void encode_tail(LayerCache& layer, uint32_t head, uint32_t which, bool prompt) {
  Side& side = layer.side(head, which);
  const LayerPolicy& rules = layer.rules();
  const sluice_codec_plan& plan = rules.plan[which];
  const Instance& codec = *rules.codec[which];
  const sluice_codec& table = layer.policy->codec(layer.index, which);
  const uint32_t head_dim = layer.head_dim();
  uint32_t done = 0;  // tail rows coded so far
  for (;;) {
    const uint32_t tail = side.rows - side.rescued - done;
    if (tail < plan.residual + plan.block_rows) break;
    const uint32_t ready = (tail - plan.residual) / plan.block_rows * plan.block_rows;
    const uint32_t n = prompt ? std::min(ready, plan.max_rows / plan.block_rows * plan.block_rows) : plan.block_rows;
    const uint32_t first = side.rescued + done;
    Scratch<float> rows(layer.scratch, uint64_t(n) * head_dim);
    Scratch<uint32_t> slots(layer.scratch, n);
    for (uint32_t r = 0; r < n; r++) {
      const uint16_t* from = side.row(first + r, head_dim);
      for (uint32_t c = 0; c < head_dim; c++) rows[uint64_t(r) * head_dim + c] = half_to_float(from[c]);
      slots[r] = dense_slot(layer, side, first + r);
    }
    // The seed follows from what is coded and where, so forks and batches agree.
    const uint32_t position = layer.evicting() ? layer.slot_pos(head)[slots[0]] : slots[0];
    sluice_block header{layer.index, head, which, n, 0, prompt ? 1u : 0u, 0};
    header.seed = (uint64_t(layer.index) << 48 | uint64_t(head) << 36 | uint64_t(which) << 35 | position) * 0x9E3779B97F4A7C15ull + 1;
    Scratch<std::byte> work(layer.scratch, table.scratch(codec.self(), which, n, 0) + 1);
    Scratch<std::byte> coded(layer.scratch, table.bound(codec.self(), which, n) + 1);
    size_t bytes = 0;
    codec.check(table.encode(codec.self(), &header, rows.data(), work.data(), coded.data(), &bytes), "encode");
    CodedBlock block;
    block.piece = layer.memory.allocate(bytes), block.bytes = bytes, block.seed = header.seed, block.prompt = header.prompt;
    std::memcpy(block.piece.data, coded.data(), bytes);
    sluice_span span{block.piece.data, nullptr, 0, n};
    if (layer.evicting()) place_block(span, block, slots.data(), n, layer.memory);
    else span.slot_base = slots[0];
    side.spans.push(span, layer.memory), side.blocks.push(block, layer.memory);
    layer.counters.coded += n;
    done += n;
  }
  if (done == 0) return;
  const uint32_t left = side.rows - side.rescued - done;
  if (left + side.rescued > 0) unshare_rows(side, head_dim, layer.memory);
  move_rows(side, side.rescued + done, side.rescued, left, head_dim);
  if (layer.evicting()) {
    std::memmove(&side.slots[side.rescued], &side.slots[side.rescued + done], left * sizeof(uint16_t));
    side.slots.count -= done;
  } else {
    side.first_slot += done;
  }
  side.rows -= done;
  trim_rows(side, side.rows, head_dim, layer.memory);
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
  uint32_t live = 0;
  bool same = true;  // nobody left and nobody moves: the rows may stay, even shared ones
  for (uint32_t s = 0; s < side.rows; s++) live += pos[s] != SLUICE_FREE, same &= pos[s] != SLUICE_FREE && to[s] == s;
  if (!same) {
    Side moved;
    grow_rows(moved, live, head_dim, layer.memory);
    for (uint32_t s = 0; s < side.rows; s++)
      if (pos[s] != SLUICE_FREE)
        std::memcpy(moved.row(to[s], head_dim), side.row(s, head_dim), head_dim * sizeof(uint16_t));
    release_rows(side, layer.memory);
    side.segments.release(layer.memory);
    side.segments = moved.segments;
  }
  side.rows = live;
}

}  // namespace

void renumber(LayerCache& layer, uint32_t capacity, uint32_t prompt) {
  const uint32_t lanes = layer.policy->evictor_lanes(), old = layer.capacity;
  Scratch<uint32_t> to(layer.scratch, uint64_t(lanes) * old), told(layer.scratch, uint64_t(lanes) * old);
  Scratch<uint32_t> taken(layer.scratch, lanes);
  for (uint32_t lane = 0; lane < lanes; lane++) {
    taken[lane] = new_numbers(layer, lane, &to[uint64_t(lane) * old]);
    assert(taken[lane] <= capacity);
    const uint32_t* pos = layer.slot_pos(layer.policy->layer_granularity ? 0 : lane);
    for (uint32_t s = 0; s < old; s++) told[uint64_t(lane) * old + s] = pos[s] == SLUICE_FREE ? SLUICE_FREE : to[uint64_t(lane) * old + s];
  }
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) move_side(layer, h, which, &to[uint64_t(layer.lane_of(h)) * old]);
  const Slots s = new_slots(layer, capacity, layer.lanes.budget, prompt);
  layer.policy->evictor(layer.index).resize(layer.rules().evictor->self(), s.state.data, &s.lanes, layer.state.data, &layer.lanes, told.data());
  auto* pos = reinterpret_cast<uint32_t*>(s.tables.data);
  for (uint32_t h = 0; h < layer.kv_heads(); h++) {
    const uint32_t* move = &to[uint64_t(layer.lane_of(h)) * old];
    const uint32_t* from = layer.slot_pos(h);
    float* signal = layer.wants_signal() ? reinterpret_cast<float*>(pos + uint64_t(layer.kv_heads()) * capacity) + uint64_t(h) * capacity : nullptr;
    for (uint32_t i = 0; i < old; i++) {
      if (move[i] == SLUICE_FREE) continue;
      pos[uint64_t(h) * capacity + move[i]] = from[i];
      if (signal) signal[move[i]] = layer.signal(h)[i];
    }
  }
  for (uint32_t i = 0; i < layer.pending_slots.count; i++)
    layer.pending_slots[i] = to[uint64_t(i % lanes) * old + layer.pending_slots[i]];
  layer.memory.release(layer.tables), layer.memory.release(layer.state);
  layer.tables = s.tables, layer.state = s.state, layer.lanes = s.lanes, layer.capacity = capacity;
  for (uint32_t lane = 0; lane < lanes; lane++) {
    SlotPool& pool = layer.pools[lane];
    if (pool.holders.count) {
      ArenaArray<uint8_t> holders;
      holders.reserve(capacity, layer.memory);
      holders.count = capacity;
      std::memset(holders.data(), 0, capacity);
      for (uint32_t i = 0; i < old; i++)
        if (to[uint64_t(lane) * old + i] != SLUICE_FREE) holders[to[uint64_t(lane) * old + i]] = pool.holders[i];
      pool.holders.release(layer.memory);
      pool.holders = holders;
    }
    pool.free.release(layer.memory);
    fill_pool(layer, pool, taken[lane]);
  }
}

void account_layer(const LayerCache& layer, Ledger& ledger) {
  const uint64_t row_bytes = uint64_t(layer.head_dim()) * sizeof(uint16_t);
  auto whole = [&](Kind kind, const Piece& piece) { ledger[kind] += piece.bytes; };
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      const Side& side = layer.side(h, which);
      uint64_t room = 0, shared_rows = 0;
      for (const Segment& s : side.segments) s.shared ? shared_rows += s.rows : room += s.piece.bytes;
      const uint64_t rows = !layer.rules().codec[which] && layer.evicting() ? layer.live : side.rows;
      const uint64_t own = rows - std::min<uint64_t>(rows, shared_rows);
      ledger[Kind::kSideList] += side.rescued * row_bytes;
      ledger[Kind::kTail] += (own - side.rescued) * row_bytes;
      ledger[Kind::kSlack] += room - own * row_bytes;
      whole(Kind::kIndex, side.segments.piece), whole(Kind::kIndex, side.slots.piece);
      whole(Kind::kIndex, side.spans.piece), whole(Kind::kIndex, side.blocks.piece);
      for (uint32_t i = 0; i < side.blocks.count; i++) {
        const CodedBlock& block = side.blocks[i];
        const sluice_block header = layer.block(h, which, i);
        sluice_account a{};
        layer.policy->codec(layer.index, which).account(layer.rules().codec[which]->self(), &header, block.piece.data, &a);
        const std::pair<Kind, uint64_t> parts[] = {
            {Kind::kCodes, a.codes}, {Kind::kScales, a.scales}, {Kind::kLowRank, a.low_rank},
            {Kind::kOutlierValues, a.outlier_values}, {Kind::kOutlierIndices, a.outlier_indices},
            {Kind::kRowPointers, a.row_pointers}, {Kind::kIndex, a.index}, {Kind::kPadding, a.padding}};
        for (const auto& [kind, bytes] : parts) ledger[kind] += bytes;
        ledger[Kind::kSlack] += block.piece.bytes - block.bytes;
        whole(Kind::kIndex, block.map);
      }
    }
  for (const SlotPool& pool : layer.pools) whole(Kind::kIndex, pool.free.piece), whole(Kind::kIndex, pool.holders.piece);
  whole(Kind::kIndex, layer.sides.piece), whole(Kind::kIndex, layer.pools.piece);
  whole(Kind::kIndex, layer.pending_slots.piece), whole(Kind::kIndex, layer.pending_positions.piece);
  whole(Kind::kEvictorState, layer.state);
  const uint64_t positions = uint64_t(layer.kv_heads()) * layer.capacity * sizeof(uint32_t);
  ledger[Kind::kPositions] += positions;
  if (layer.tables) ledger[layer.wants_signal() ? Kind::kSignal : Kind::kSlack] += layer.tables.bytes - positions;
}

namespace {

Piece copy_piece(const Piece& from, const Memory& memory) {
  if (!from) return {};
  Piece to = memory.allocate(from.bytes);
  std::memcpy(to.data, from.data, from.bytes);
  return to;
}
template <class T>
ArenaArray<T> copy_table(const ArenaArray<T>& from, const Memory& memory) {
  return {copy_piece(from.piece, memory), from.count};
}

}  // namespace

void copy_layer(const LayerCache& from, LayerCache& to) {
  const Memory memory = to.memory, scratch = to.scratch;
  to = from;
  to.memory = memory, to.scratch = scratch;
  to.tables = copy_piece(from.tables, memory), to.state = copy_piece(from.state, memory);
  to.pending_slots = copy_table(from.pending_slots, memory);
  to.pending_positions = copy_table(from.pending_positions, memory);
  to.sides = copy_table(from.sides, memory), to.pools = copy_table(from.pools, memory);
  for (SlotPool& pool : to.pools) pool = {copy_table(pool.free, memory), copy_table(pool.holders, memory)};
  for (Side& side : to.sides) {
    side.segments = copy_table(side.segments, memory);
    for (Segment& s : side.segments)
      if (!s.shared) s.piece = copy_piece(s.piece, memory);
    side.slots = copy_table(side.slots, memory);
    side.spans = copy_table(side.spans, memory), side.blocks = copy_table(side.blocks, memory);
    for (uint32_t i = 0; i < side.blocks.count; i++) {
      CodedBlock& block = side.blocks[i];
      block.piece = copy_piece(block.piece, memory), block.map = copy_piece(block.map, memory);
      side.spans[i].src = block.piece.data;
      if (side.spans[i].slots) side.spans[i].slots = reinterpret_cast<const uint16_t*>(block.map.data);
    }
  }
}

}  // namespace sluice
