// See rows_reader.h.
#include "core/cache/rows_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/half.h"

namespace sluice {

RowsReader::RowsReader(const LayerCache& layer)
    : layer_(layer),
      places_(layer.scratch, layer.rules().coded() ? uint64_t(layer.kv_heads()) * 2 * layer.capacity : 0) {
  table_ = {this, layer.kv_heads(), layer.head_dim(),
            [](const sluice_rows* rows, uint32_t head, uint32_t side, uint32_t count, const uint32_t* slots,
               float* out) { return static_cast<RowsReader*>(rows->ctx)->read(head, side, count, slots, out); }};
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      if (!layer.rules().codec[which]) continue;
      const Side& side = layer.side(h, which);
      Place* to = places(h, which);
      for (uint32_t r = 0; r < side.rows; r++) to[side.slots[r]] = {kDense, r};
      for (uint32_t i = 0; i < side.blocks.count; i++)
        for (uint32_t r = 0; r < side.spans[i].rows; r++) to[slot_of(side.spans[i], r)] = {i, r};
    }
}

// Nothing may be thrown into the evictor: where memory runs out the message is lost, the code is not.
sluice_status RowsReader::refuse(const std::string& why) {
  const Instance& evictor = *layer_.rules().evictor;
  status_ = SLUICE_INTERNAL, failed_ = &evictor;
  return evictor.host()->fail(evictor.host(), SLUICE_INTERNAL, why.c_str());
}

// Rows of a device come in as large pieces as lie together, but no more at a time than decode() gives. Returns how
// many.
uint32_t RowsReader::read_device_rows(const Side& side, uint32_t row, std::span<const uint32_t> slots, float* out) {
  uint32_t n = 1;
  while (n < std::min<size_t>(kDecodeRows, slots.size()) && slots[n] == slots[0] + n && (row + n) % kSegmentRows != 0)
    n++;
  const uint64_t numbers = uint64_t(n) * layer_.head_dim();
  Scratch<uint16_t> halves(layer_.scratch, numbers);
  layer_.memory.read_rows(side.row(row, layer_.head_dim()), halves.data(), numbers * sizeof(uint16_t));
  for (uint64_t i = 0; i < numbers; i++) out[i] = sluice_from_half(halves[i]);
  return n;
}

sluice_status RowsReader::read(uint32_t head, uint32_t side, uint32_t count, const uint32_t* slots, float* out) try {
  if (head >= layer_.kv_heads() || side > SLUICE_VALUE)
    return refuse(fmt::format("reads rows of kv head {}, side {}; there are {} heads, and sides 0 (K) and 1 (V)", head,
                              side, layer_.kv_heads()));
  const uint32_t* pos = layer_.slot_pos(head);
  const uint32_t head_dim = layer_.head_dim();
  for (uint32_t i = 0; i < count; i++)
    if (slots[i] >= layer_.capacity || pos[slots[i]] == SLUICE_FREE)
      return refuse(fmt::format("reads the row of slot {} in kv head {}, which holds no token", slots[i], head));
  const Side& rows = layer_.side(head, side);
  const Instance* codec = layer_.rules().codec[side];
  const Place* where = codec ? places(head, side) : nullptr;
  for (uint32_t i = 0; i < count;) {
    float* to = out + uint64_t(i) * head_dim;
    const Place at = codec ? where[slots[i]] : Place{kDense, slots[i]};
    if (at.block == kDense && layer_.memory.rows) {
      i += read_device_rows(rows, at.row, std::span(slots + i, count - i), to);
      continue;
    }
    if (at.block == kDense) {
      const uint16_t* from = rows.row(at.row, head_dim);
      for (uint32_t c = 0; c < head_dim; c++) to[c] = sluice_from_half(from[c]);
      i++;
      continue;
    }
    uint32_t n = 1;  // rows of one block that follow each other are decoded together
    while (n < kDecodeRows && i + n < count && where[slots[i + n]].block == at.block &&
           where[slots[i + n]].row == at.row + n)
      n++;
    const sluice_block header = layer_.block(head, side, at.block);
    const sluice_status status = [&] {
      const InVerb in(codec->who(), "decode");
      return layer_.policy->codec(layer_.index, side)
          .decode(codec->self(), &header, rows.spans[at.block].src, at.row, n, to);
    }();
    if (status != SLUICE_OK) {
      status_ = status, failed_ = codec;
      return status;
    }
    decoded_.fetch_add(n, std::memory_order_relaxed);
    i += n;
  }
  return SLUICE_OK;
} catch (...) {
  status_ = SLUICE_NO_MEMORY, failed_ = layer_.rules().evictor;
  return SLUICE_NO_MEMORY;
}

void RowsReader::check(std::string_view verb) const {
  const Instance* failed = failed_;
  if (failed) failed->check(status_, failed == layer_.rules().evictor ? verb : "decode");
}

}  // namespace sluice
