// See lane.h: how a side's segments grow, shrink and stop being shared.
#include "core/cache/lane.h"

#include <algorithm>

namespace sluice {
namespace {

uint32_t room_for(uint32_t rows) { return std::min(kSegmentRows, (rows + 15) / 16 * 16); }

void replace(Segment& segment, uint32_t rows, uint32_t keep, uint32_t head_dim, const Memory& memory) {
  const uint64_t row_bytes = uint64_t(head_dim) * sizeof(uint16_t);
  Piece piece = memory.allocate_rows(rows * row_bytes);
  memory.copy_rows(piece.data, segment.piece.data, keep * row_bytes);
  memory.zero_rows(piece.data + keep * row_bytes, piece.bytes - keep * row_bytes);
  if (!segment.shared) memory.free_rows(segment.piece);
  segment = {piece, rows, false};
}

}  // namespace

void grow_rows(Side& side, uint32_t rows, uint32_t head_dim, const Memory& memory) {
  const uint32_t needed = (rows + kSegmentRows - 1) / kSegmentRows;
  for (uint32_t i = side.segments.count ? side.segments.count - 1 : 0; i < needed; i++) {
    const uint32_t want = i + 1 < needed ? kSegmentRows : room_for(rows - i * kSegmentRows);
    if (i == side.segments.count) side.segments.push({}, memory);
    Segment& segment = side.segments[i];
    if (segment.rows < want) replace(segment, want, segment.rows, head_dim, memory);
  }
}

void trim_rows(Side& side, uint32_t rows, uint32_t head_dim, const Memory& memory) {
  const uint32_t needed = (rows + kSegmentRows - 1) / kSegmentRows;
  while (side.segments.count > needed) {
    Segment& last = side.segments[--side.segments.count];
    if (!last.shared) memory.free_rows(last.piece);
  }
  if (needed == 0 || side.segments.count < needed) return;
  Segment& last = side.segments[needed - 1];
  const uint32_t want = room_for(rows - (needed - 1) * kSegmentRows);
  if (last.rows <= want || last.shared) return;
  memory.shrink_rows(last.piece, uint64_t(want) * head_dim * sizeof(uint16_t));
  last.rows = want;
}

void release_rows(Side& side, const Memory& memory) {
  for (Segment& s : side.segments)
    if (!s.shared) memory.free_rows(s.piece);
  side.segments.count = 0;
  side.rows = side.rescued = 0;
}

void release_block(CodedBlock& block, const Memory& memory) {
  memory.release(block.piece);
  memory.release(block.map);
}

void drop_empty_blocks(Side& side) {
  uint32_t to = 0;
  for (uint32_t i = 0; i < side.blocks.count; i++) {
    if (side.spans[i].rows == 0) continue;
    side.spans[to] = side.spans[i], side.blocks[to] = side.blocks[i];
    to++;
  }
  side.blocks.count = side.spans.count = to;
}

void unshare_rows(Side& side, uint32_t head_dim, const Memory& memory) {
  for (Segment& s : side.segments)
    if (s.shared) replace(s, s.rows, s.rows, head_dim, memory);
}

void unshare_segment(Side& side, uint32_t row, uint32_t head_dim, const Memory& memory) {
  Segment& s = side.segments[row / kSegmentRows];
  if (s.shared) replace(s, s.rows, s.rows, head_dim, memory);
}

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

}  // namespace sluice
