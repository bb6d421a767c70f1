// Fused attention: tiles of queries pass over the rows of their lane, a share of its segments each, with the softmax
// corrected as larger scores come; then the shares are merged in order. Signals come from a pass of their own, once the
// softmax is known, in which no two threads write the same slot.
#pragma once

#include "backends/cuda/device/lanes.h"

namespace sluice::cuda {

// grid: (lanes * tiles, shares)
SLUICE_KERNEL attend(const AttendArgs a) {
  const sluice_group& g = a.group;
  const LaneView v = LaneView::of(g, block_x() / a.tiles);
  const uint32_t first = block_x() % a.tiles * a.cut.tile, dim = g.head_dim;
  if (first >= v.queries) return;
  const uint32_t n = v.queries - first < a.cut.tile ? v.queries - first : a.cut.tile;
  auto* q = reinterpret_cast<float*>(shared_memory());  // [tile][dim]
  float* const out = q + a.cut.tile * dim;              // [tile][dim]
  float* const w = out + a.cut.tile * dim;              // [tile][chunk]
  float* const top = w + a.cut.tile * a.cut.chunk;      // [tile] each
  float *const sum = top + a.cut.tile, *const counted = sum + a.cut.tile, *const number = counted + a.cut.tile,
               *const fade = number + a.cut.tile;
  auto* const position = reinterpret_cast<uint32_t*>(fade + a.cut.tile);  // [tile]
  uint32_t* const token = position + a.cut.tile;                          // [chunk]: positions of the rows' tokens
  uint32_t* const rows = token + a.cut.chunk;                             // [chunk][row_words]
  load_queries(v, g, a.q, first, n, q);
  load_positions(v, a.positions, first, n, position);
  for (uint32_t i = thread_index(); i < n * dim; i += thread_count()) out[i] = 0;
  for (uint32_t i = thread_index(); i < n; i += thread_count()) top[i] = -INFINITY, sum[i] = counted[i] = number[i] = 0;
  sync_block();
  uint32_t last = 0;  // the newest position of a query
  for (uint32_t i = 0; i < n; i++) last = position[i] > last ? position[i] : last;

  const uint32_t begin = block_y() * a.segments;
  const uint32_t end = begin + a.segments < v.lane.k_count ? begin + a.segments : v.lane.k_count;
  for (uint32_t s = begin; s < end; s++) {
    const sluice_span k = g.spans[v.lane.k_first + s], values = g.spans[v.lane.v_first + s];
    for (uint32_t from = 0; from < k.rows; from += a.cut.chunk) {
      const uint32_t count = k.rows - from < a.cut.chunk ? k.rows - from : a.cut.chunk;
      bool seen = false;
      for (uint32_t r = thread_index(); r < count; r += thread_count()) {
        token[r] = position_of(v, slot_of(k, from + r));
        seen |= token[r] <= last;
      }
      if (!any_of_block(seen)) continue;
      load_rows(k, from, count, dim, rows);
      sync_block();
      chunk_scores(q, n, rows, count, dim, a.cut.chunk, w);
      sync_block();
      load_rows(values, from, count, dim, rows);
      // A warp takes a query's scores: its softmax goes on from what came before.
      for (uint32_t i = thread_index() / kWarp; i < n; i += thread_count() / kWarp) {
        const uint32_t lane = thread_index() % kWarp;
        float highest = -INFINITY;
        for (uint32_t r = lane; r < count; r += kWarp)
          if (token[r] <= position[i]) highest = fmaxf(highest, w[i * a.cut.chunk + r] * g.scale);
        highest = fmaxf(largest_of_lanes(highest, kWarp), top[i]);
        float total = 0, some = 0, many = 0;
        for (uint32_t r = lane; r < count; r += kWarp) {
          const bool sees = token[r] <= position[i];
          const float e = sees ? expf(w[i * a.cut.chunk + r] * g.scale - highest) : 0;
          w[i * a.cut.chunk + r] = e;
          total += e;
          if (counts(a.wanted, token[r], position[i])) some += e, many += 1;
        }
        total = sum_of_lanes(total, kWarp), some = sum_of_lanes(some, kWarp), many = sum_of_lanes(many, kWarp);
        if (lane == 0) {
          const float f = top[i] == highest ? 1 : expf(top[i] - highest);
          fade[i] = f, top[i] = highest;
          sum[i] = sum[i] * f + total, counted[i] = counted[i] * f + some, number[i] += many;
        }
      }
      sync_block();
      for (uint32_t at = thread_index(); at < n * dim; at += thread_count()) {
        const uint32_t i = at / dim, c = at % dim;
        float x = 0;
        for (uint32_t r = 0; r < count; r++) x += w[i * a.cut.chunk + r] * number_at(rows, r, c, dim);
        out[at] = out[at] * fade[i] + x;
      }
      sync_block();
    }
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t row = LaneView::row_of(v, first + i), head = LaneView::head_of(v, first + i);
    float* const part = a.parts + block_y() * a.share_floats + (uint64_t(row) * g.heads + head) * (kPartHead + dim);
    if (thread_index() == 0) part[0] = top[i], part[1] = sum[i], part[2] = counted[i], part[3] = number[i];
    for (uint32_t c = thread_index(); c < dim; c += thread_count()) part[kPartHead + c] = out[i * dim + c];
  }
}

// grid: (lanes, queries of a lane). A query that sees nothing gets zeros.
SLUICE_KERNEL merge(const MergeArgs a) {
  const sluice_group& g = a.group;
  const LaneView v = LaneView::of(g, block_x());
  const uint32_t query = block_y(), dim = g.head_dim;
  if (query >= v.queries) return;
  const uint64_t index = uint64_t(LaneView::row_of(v, query)) * g.heads + LaneView::head_of(v, query);
  const float* const part = a.parts + index * (kPartHead + dim);
  float top = -INFINITY, sum = 0, counted = 0, number = 0;
  for (uint32_t s = 0; s < a.shares; s++) top = fmaxf(top, part[s * a.share_floats]);
  for (uint32_t s = 0; s < a.shares; s++) {
    const float* const p = part + s * a.share_floats;
    const float f = p[1] > 0 ? expf(p[0] - top) : 0;
    sum += p[1] * f, counted += p[2] * f, number += p[3];
  }
  const float inverse = sum > 0 ? 1 / sum : 0;
  if (a.softmax && thread_index() == 0)
    a.softmax[index] = {top, inverse, counted > 0 ? number / (counted * inverse) : 0};
  for (uint32_t c = thread_index(); c < dim; c += thread_count()) {
    float x = 0;
    for (uint32_t s = 0; s < a.shares; s++) {
      const float* const p = part + s * a.share_floats;
      if (p[1] > 0) x += expf(p[0] - top) * p[kPartHead + c];
    }
    a.out[index * dim + c] = x * inverse;
  }
}

// grid: (lanes, segments of a lane, at most). The rows of a chunk take their weights query by query, oldest first.
SLUICE_KERNEL gather_signal(const SignalArgs a) {
  const sluice_group& g = a.group;
  const LaneView v = LaneView::of(g, block_x());
  const uint32_t dim = g.head_dim;
  const uint32_t muted = v.part.signal_from > v.part.first ? v.part.signal_from - v.part.first : 0;
  if (muted >= v.part.count) return;
  auto* q = reinterpret_cast<float*>(shared_memory());                      // [tile][dim]
  float* const w = q + a.cut.tile * dim;                                    // [tile][chunk]
  float* const gathered = w + a.cut.tile * a.cut.chunk;                     // [chunk]
  auto* const token = reinterpret_cast<uint32_t*>(gathered + a.cut.chunk);  // [chunk]
  uint32_t* const position = token + a.cut.chunk;                           // [tile]
  uint32_t* const rows = position + a.cut.tile;                             // [chunk][row_words]
  for (uint32_t s = block_y(); s < v.lane.k_count; s += grid_y()) {
    const sluice_span k = g.spans[v.lane.k_first + s];
    for (uint32_t from = 0; from < k.rows; from += a.cut.chunk) {
      const uint32_t count = k.rows - from < a.cut.chunk ? k.rows - from : a.cut.chunk;
      load_rows(k, from, count, dim, rows);
      for (uint32_t r = thread_index(); r < count; r += thread_count()) {
        const uint32_t slot = slot_of(k, from + r);
        token[r] = position_of(v, slot);
        gathered[r] = token[r] != SLUICE_FREE ? a.signal[v.lane.slot_at + slot] : 0;
      }
      sync_block();
      for (uint32_t first = muted * v.per_token; first < v.queries; first += a.cut.tile) {
        const uint32_t n = v.queries - first < a.cut.tile ? v.queries - first : a.cut.tile;
        load_queries(v, g, a.q, first, n, q);
        load_positions(v, a.positions, first, n, position);
        sync_block();
        uint32_t last = 0;
        for (uint32_t i = 0; i < n; i++) last = position[i] > last ? position[i] : last;
        bool seen = false;
        for (uint32_t r = thread_index(); r < count; r += thread_count()) seen |= token[r] <= last;
        if (any_of_block(seen)) {
          chunk_scores(q, n, rows, count, dim, a.cut.chunk, w);
          sync_block();
          for (uint32_t r = thread_index(); r < count; r += thread_count()) {
            for (uint32_t i = 0; i < n; i++) {
              if (!counts(a.wanted, token[r], position[i])) continue;
              const Softmax& x =
                  a.softmax[uint64_t(LaneView::row_of(v, first + i)) * g.heads + LaneView::head_of(v, first + i)];
              const float weight = expf(w[i * a.cut.chunk + r] * g.scale - x.top) * x.inverse_sum;
              gathered[r] = a.wanted.kind == SLUICE_PEAK ? fmaxf(gathered[r], weight * x.share) : gathered[r] + weight;
            }
          }
          sync_block();
        }
      }
      for (uint32_t r = thread_index(); r < count; r += thread_count())
        if (token[r] != SLUICE_FREE) a.signal[v.lane.slot_at + slot_of(k, from + r)] = gathered[r];
      sync_block();
    }
  }
}

SLUICE_DEVICE void store_row(const sluice_group& g, uint32_t first, uint32_t count, uint32_t row, const float* from) {
  if (row / g.segment_rows >= count) return;
  auto* const to = static_cast<uint16_t*>(const_cast<void*>(g.spans[first + row / g.segment_rows].src)) +
                   uint64_t(row % g.segment_rows) * g.head_dim;
  for (uint32_t c = thread_index(); c < g.head_dim; c += thread_count()) to[c] = to_half(from[c]);
}
// grid: (lanes, rows of a part)
SLUICE_KERNEL kv_store(const StoreArgs a) {
  const sluice_group& g = a.group;
  const LaneView v = LaneView::of(g, block_x());
  if (block_y() >= v.part.count) return;
  const uint64_t at = uint64_t(v.part.first + block_y()) * g.kv_heads + v.kv_head;
  const sluice_store place = a.places[at];
  store_row(g, v.lane.k_first, v.lane.k_count, place.k_row, a.k + at * g.head_dim);
  store_row(g, v.lane.v_first, v.lane.v_count, place.v_row, a.v + at * g.head_dim);
  if (thread_index() == 0) g.slot_pos[v.lane.slot_at + place.slot] = a.positions[v.part.first + block_y()];
}

}  // namespace sluice::cuda
