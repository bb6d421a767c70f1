// Attention in three verbs, between which codecs join in: scores of the dense rows, softmax over all slots, and the
// dense rows' share of the result. Scores are float [lanes][max_count * query heads of a kv head][max_slots].
#pragma once

#include "backends/cuda/device/attention.h"

namespace sluice::cuda {

SLUICE_DEVICE uint32_t most_queries(const sluice_group& g) { return g.max_count * (g.heads / g.kv_heads); }
SLUICE_DEVICE float* score_row(const sluice_group& g, float* scores, uint32_t lane, uint32_t query) {
  return scores + (uint64_t(lane) * most_queries(g) + query) * g.max_slots;
}

// grid: (lanes * tiles, segments of a lane, at most)
SLUICE_KERNEL score_rows(const VerbArgs a) {
  const sluice_group& g = a.group;
  const uint32_t index = a.first + block_x() / a.tiles, dim = g.head_dim;
  const LaneView v = LaneView::of(g, index);
  const uint32_t first = block_x() % a.tiles * a.cut.tile;
  if (first >= v.queries) return;
  const uint32_t n = v.queries - first < a.cut.tile ? v.queries - first : a.cut.tile;
  auto* q = reinterpret_cast<float*>(shared_memory());                           // [tile][dim]
  float* const w = q + a.cut.tile * dim;                                         // [tile][chunk]
  auto* const rows = reinterpret_cast<uint32_t*>(w + a.cut.tile * a.cut.chunk);  // [chunk][row_words]
  load_queries(v, g, a.q, first, n, q);
  for (uint32_t s = block_y(); s < v.lane.k_count; s += grid_y()) {
    const sluice_span k = g.spans[v.lane.k_first + s];
    for (uint32_t from = 0; from < k.rows; from += a.cut.chunk) {
      const uint32_t count = k.rows - from < a.cut.chunk ? k.rows - from : a.cut.chunk;
      load_rows(k, from, count, dim, rows);
      sync_block();
      chunk_scores(q, n, rows, count, dim, a.cut.chunk, w);
      sync_block();
      for (uint32_t at = thread_index(); at < n * count; at += thread_count()) {
        const uint32_t slot = slot_of(k, from + at % count);
        if (slot < v.slots)
          score_row(g, a.scores, index, first + at / count)[slot] = w[at / count * a.cut.chunk + at % count];
      }
    }
  }
}

// grid: (lanes, queries of a lane). Unseen slots get 0.
SLUICE_KERNEL soften(const VerbArgs a) {
  const sluice_group& g = a.group;
  const uint32_t index = a.first + block_x(), query = block_y();
  const LaneView v = LaneView::of(g, index);
  if (query >= v.queries) return;
  float* const w = score_row(g, a.scores, index, query);
  auto* const room = reinterpret_cast<float*>(shared_memory());
  const uint32_t position = a.positions[LaneView::row_of(v, query)];
  float top = -INFINITY;
  for (uint32_t s = thread_index(); s < v.slots; s += thread_count())
    if (v.pos[s] <= position) top = fmaxf(top, w[s] * g.scale);
  top = largest_of_block(top, room);
  float sum = 0, counted = 0, number = 0;
  for (uint32_t s = thread_index(); s < v.slots; s += thread_count()) {
    const float e = v.pos[s] <= position ? expf(w[s] * g.scale - top) : 0;
    w[s] = e;
    sum += e;
    if (counts(a.wanted, v.pos[s], position)) counted += e, number += 1;
  }
  sum = sum_of_block(sum, room);
  const float inverse = sum > 0 ? 1 / sum : 0;
  for (uint32_t s = thread_index(); s < v.slots; s += thread_count()) w[s] *= inverse;
  if (!a.shares) return;
  counted = sum_of_block(counted, room), number = sum_of_block(number, room);
  if (thread_index() == 0)
    a.shares[uint64_t(index) * most_queries(g) + query] = counted > 0 ? number / (counted * inverse) : 0;
}

// grid: (lanes, blocks of slots). A thread has a slot and takes its weights query by query.
SLUICE_KERNEL gather_weights(const VerbArgs a) {
  const sluice_group& g = a.group;
  const uint32_t index = a.first + block_x(), slot = block_y() * thread_count() + thread_index();
  const LaneView v = LaneView::of(g, index);
  if (slot >= v.slots || v.pos[slot] == SLUICE_FREE) return;
  float gathered = a.signal[v.lane.slot_at + slot];
  for (uint32_t query = 0; query < v.queries; query++) {
    const uint32_t row = LaneView::row_of(v, query);
    if (row < v.part.signal_from || !counts(a.wanted, v.pos[slot], a.positions[row])) continue;
    const float weight = score_row(g, a.scores, index, query)[slot];
    gathered = a.wanted.kind == SLUICE_PEAK
                   ? fmaxf(gathered, weight * a.shares[uint64_t(index) * most_queries(g) + query])
                   : gathered + weight;
  }
  a.signal[v.lane.slot_at + slot] = gathered;
}

// grid: (lanes * tiles). Rows are added in order.
SLUICE_KERNEL mix_rows(const VerbArgs a) {
  const sluice_group& g = a.group;
  const uint32_t index = a.first + block_x() / a.tiles, dim = g.head_dim;
  const LaneView v = LaneView::of(g, index);
  const uint32_t first = block_x() % a.tiles * a.cut.tile;
  if (first >= v.queries) return;
  const uint32_t n = v.queries - first < a.cut.tile ? v.queries - first : a.cut.tile;
  auto* out = reinterpret_cast<float*>(shared_memory());                         // [tile][dim]
  float* const w = out + a.cut.tile * dim;                                       // [tile][chunk]
  auto* const rows = reinterpret_cast<uint32_t*>(w + a.cut.tile * a.cut.chunk);  // [chunk][row_words]
  for (uint32_t i = thread_index(); i < n * dim; i += thread_count()) out[i] = 0;
  sync_block();
  for (uint32_t s = 0; s < v.lane.v_count; s++) {
    const sluice_span values = g.spans[v.lane.v_first + s];
    for (uint32_t from = 0; from < values.rows; from += a.cut.chunk) {
      const uint32_t count = values.rows - from < a.cut.chunk ? values.rows - from : a.cut.chunk;
      bool matters = false;
      for (uint32_t at = thread_index(); at < n * count; at += thread_count()) {
        const uint32_t slot = slot_of(values, from + at % count);
        const float x = slot < v.slots ? score_row(g, a.scores, index, first + at / count)[slot] : 0;
        w[at / count * a.cut.chunk + at % count] = x;
        matters |= x != 0;
      }
      if (!any_of_block(matters)) continue;
      load_rows(values, from, count, dim, rows);
      sync_block();
      for (uint32_t at = thread_index(); at < n * dim; at += thread_count()) {
        const float* const weights = w + at / dim * a.cut.chunk;
        float x = 0;
        for (uint32_t r = 0; r < count; r++) x += weights[r] * number_at(rows, r, at % dim, dim);
        out[at] += x;
      }
      sync_block();
    }
  }
  for (uint32_t i = thread_index(); i < n * dim; i += thread_count())
    a.out[LaneView::at(v, g, first + i / dim) + i % dim] += out[i];
}

}  // namespace sluice::cuda
