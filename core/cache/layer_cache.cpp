// See layer_cache.h: releasing and copying a layer. What layers do is in slots.cpp, blocks.cpp, rolling.cpp and
// account.cpp.
#include "core/cache/layer_cache.h"

namespace sluice {

void release_layer(LayerCache& layer) {
  for (Side& side : layer.sides) {
    release_rows(side, layer.memory);
    for (CodedBlock& block : side.blocks) release_block(block, layer.memory);
    side.segments.release(layer.memory), side.slots.release(layer.memory), side.uncoded.release(layer.memory);
    side.spans.release(layer.memory), side.blocks.release(layer.memory);
  }
  for (SlotPool& pool : layer.pools) pool.free.release(layer.memory), pool.holders.release(layer.memory);
  layer.sides.release(layer.memory), layer.pools.release(layer.memory);
  layer.pending_slots.release(layer.memory), layer.pending_positions.release(layer.memory);
  layer.memory.release(layer.tables), layer.memory.free_rows(layer.device_tables), layer.memory.release(layer.state),
      layer.scratch.release(layer.queries);
}

namespace {

Piece copy_piece(const Piece& from, const Memory& memory) {
  if (!from) return {};
  Piece to = memory.allocate(from.bytes);
  std::memcpy(to.data, from.data, from.bytes);
  return to;
}

Piece copy_row_piece(const Piece& from, const Memory& memory) {
  if (!from) return {};
  Piece to = memory.allocate_rows(from.bytes);
  memory.copy_rows(to.data, from.data, from.bytes);
  return to;
}

// For elements that own nothing.
template <class T>
void copy_table(const ArenaArray<T>& from, ArenaArray<T>& to, const Memory& memory) {
  to.piece = copy_piece(from.piece, memory), to.count = from.count;
}

// As much room as `from` has, for elements that are copied one by one.
template <class T>
void reserve_like(const ArenaArray<T>& from, ArenaArray<T>& to, const Memory& memory) {
  if (from.piece) to.piece = memory.allocate(from.piece.bytes);
}

void copy_side(const Side& from, Side& to, const Memory& memory) {
  to.rows = from.rows, to.rescued = from.rescued, to.first_slot = from.first_slot;
  reserve_like(from.segments, to.segments, memory);
  for (const Segment& s : from.segments)
    to.segments.push({s.shared ? s.piece : copy_row_piece(s.piece, memory), s.rows, s.shared}, memory);
  copy_table(from.slots, to.slots, memory), copy_table(from.uncoded, to.uncoded, memory);
  reserve_like(from.spans, to.spans, memory), reserve_like(from.blocks, to.blocks, memory);
  for (uint32_t i = 0; i < from.blocks.count; i++) {
    const CodedBlock& block = from.blocks[i];
    sluice_span span = from.spans[i];
    to.blocks.push({{}, {}, block.bytes, block.seed, block.prompt}, memory);
    CodedBlock& own = to.blocks[i];
    own.piece = copy_piece(block.piece, memory), own.map = copy_piece(block.map, memory);
    span.src = own.piece.data;
    if (span.slots) span.slots = reinterpret_cast<const uint16_t*>(own.map.data);
    to.spans.push(span, memory);
  }
}

}  // namespace

// At every moment `to` holds nothing but its own, so release_layer() is right wherever memory runs out.
void copy_layer(const LayerCache& from, LayerCache& to) {
  const Memory memory = to.memory;
  to.index = from.index, to.policy = from.policy, to.capacity = from.capacity, to.lanes = from.lanes;
  to.state_bytes = from.state_bytes, to.budget = from.budget, to.came = from.came, to.counters = from.counters;
  to.tables = copy_piece(from.tables, memory);
  to.device_tables = copy_row_piece(from.device_tables, memory), to.state = copy_piece(from.state, memory);
  copy_table(from.pending_slots, to.pending_slots, memory);
  copy_table(from.pending_positions, to.pending_positions, memory);
  reserve_like(from.pools, to.pools, memory), reserve_like(from.sides, to.sides, memory);
  for (uint32_t i = 0; i < from.pools.count; i++) {
    to.pools.push({from.pools[i].live, {}, {}}, memory);
    copy_table(from.pools[i].free, to.pools[i].free, memory);
    copy_table(from.pools[i].holders, to.pools[i].holders, memory);
  }
  for (uint32_t i = 0; i < from.sides.count; i++) {
    to.sides.push({}, memory);
    copy_side(from.sides[i], to.sides[i], memory);
  }
}

}  // namespace sluice
