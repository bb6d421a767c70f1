// See layer_cache.h: where the bytes of a layer go.
#include <algorithm>
#include <utility>

#include "core/cache/layer_cache.h"

namespace sluice {
namespace {

// Those that hold a live token, or are still to be dropped from a coded side.
uint64_t dense_rows(const LayerCache& layer, uint32_t head, uint32_t which) {
  return !layer.rules().codec[which] && layer.evicting() ? layer.live(head) : layer.side(head, which).rows;
}

}  // namespace

void account_layer(const LayerCache& layer, Ledger& ledger) {
  if (layer.sides.count == 0) return;  // nothing came yet
  const uint64_t row_bytes = uint64_t(layer.head_dim()) * sizeof(uint16_t);
  auto whole = [&](Kind kind, const Piece& piece) { ledger[kind] += piece.bytes; };
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      const Side& side = layer.side(h, which);
      uint64_t room = 0, shared_rows = 0;
      for (const Segment& s : side.segments) s.shared ? shared_rows += s.rows : room += s.piece.bytes;
      const uint64_t rows = dense_rows(layer, h, which);
      const uint64_t own = rows - std::min<uint64_t>(rows, shared_rows);
      ledger[Kind::kSideList] += side.rescued * row_bytes;
      ledger[Kind::kTail] += (own - side.rescued) * row_bytes;
      ledger[Kind::kSlack] += room - own * row_bytes;
      whole(Kind::kIndex, side.segments.piece), whole(Kind::kIndex, side.slots.piece);
      whole(Kind::kIndex, side.uncoded.piece), whole(Kind::kIndex, side.spans.piece),
          whole(Kind::kIndex, side.blocks.piece);
      for (uint32_t i = 0; i < side.blocks.count; i++) {
        const CodedBlock& block = side.blocks[i];
        const sluice_block header = layer.block(h, which, i);
        sluice_account a{};
        layer.rules().codec[which]->call("account", layer.policy->codec(layer.index, which).account, &header,
                                         block.piece.data, &a);
        check_account(*layer.rules().codec[which], a, block.bytes);
        const std::pair<Kind, uint64_t> parts[] = {{Kind::kCodes, a.codes},
                                                   {Kind::kScales, a.scales},
                                                   {Kind::kLowRank, a.low_rank},
                                                   {Kind::kOutlierValues, a.outlier_values},
                                                   {Kind::kOutlierIndices, a.outlier_indices},
                                                   {Kind::kRowPointers, a.row_pointers},
                                                   {Kind::kIndex, a.index},
                                                   {Kind::kPadding, a.padding}};
        for (const auto& [kind, bytes] : parts) ledger[kind] += bytes;
        ledger[Kind::kSlack] += block.piece.bytes - block.bytes;
        whole(Kind::kIndex, block.map);
      }
    }
  for (const SlotPool& pool : layer.pools)
    whole(Kind::kIndex, pool.free.piece), whole(Kind::kIndex, pool.holders.piece);
  whole(Kind::kIndex, layer.sides.piece), whole(Kind::kIndex, layer.pools.piece);
  whole(Kind::kIndex, layer.pending_slots.piece), whole(Kind::kIndex, layer.pending_positions.piece);
  whole(Kind::kEvictorState, layer.state);
  const uint64_t positions = uint64_t(layer.kv_heads()) * layer.capacity * sizeof(uint32_t) * (layer.ranked() ? 2 : 1);
  ledger[Kind::kPositions] += positions;
  const Piece& attended = layer.device_tables ? layer.device_tables : layer.tables;
  if (attended) ledger[layer.wants_signal() ? Kind::kSignal : Kind::kSlack] += attended.bytes - positions;
  if (layer.device_tables) whole(Kind::kIndex, layer.tables);  // the host's copy
}

uint64_t shared_bytes(const LayerCache& layer) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < layer.sides.count; i++) {
    const Side& side = layer.sides[i];
    uint64_t shared = 0;
    for (const Segment& s : side.segments) shared += s.shared ? s.rows : 0;
    sum += std::min<uint64_t>(dense_rows(layer, i / 2, i % 2), shared) * layer.head_dim() * sizeof(uint16_t);
  }
  return sum;
}

}  // namespace sluice
