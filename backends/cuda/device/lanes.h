// What the kernels of attention share: a lane of a group, its queries in tiles, and chunks of its rows brought into
// shared memory with the positions of the tokens they belong to.
#pragma once

#include "backends/cuda/device/device.h"
#include "sluice/backend.h"

namespace sluice::cuda {

// The queries of a lane are numbered token by token, query heads of a token next to each other.
struct LaneView {
  sluice_lane lane;
  sluice_part part;
  uint32_t kv_head, per_token, queries, slots;
  const uint32_t* pos;  // of slots

  SLUICE_DEVICE LaneView of(const sluice_group& g, uint32_t index) {
    LaneView v;
    v.lane = g.lanes[index], v.part = g.parts[index / g.kv_heads];
    v.kv_head = index % g.kv_heads, v.per_token = g.heads / g.kv_heads;
    v.queries = v.part.count * v.per_token;
    v.slots = v.lane.slots < g.max_slots ? v.lane.slots : g.max_slots;
    v.pos = g.slot_pos + v.lane.slot_at;
    return v;
  }
  SLUICE_DEVICE uint32_t row_of(const LaneView& v, uint32_t query) { return v.part.first + query / v.per_token; }
  SLUICE_DEVICE uint32_t head_of(const LaneView& v, uint32_t query) {
    return v.kv_head * v.per_token + query % v.per_token;
  }
  // Where the query's head_dim numbers stand in a matrix [rows][heads * head_dim].
  SLUICE_DEVICE uint64_t at(const LaneView& v, const sluice_group& g, uint32_t query) {
    return (uint64_t(row_of(v, query)) * g.heads + head_of(v, query)) * g.head_dim;
  }
};

// SLUICE_FREE where a row belongs to no slot of the lane.
SLUICE_DEVICE uint32_t slot_of(const sluice_span& span, uint32_t row) {
  return span.slot_base + (span.slots ? span.slots[row] : row);
}
SLUICE_DEVICE uint32_t position_of(const LaneView& v, uint32_t slot) {
  return slot < v.slots ? v.pos[slot] : SLUICE_FREE;
}

// q [n][head_dim] into shared memory, and the queries' positions. The caller syncs.
SLUICE_DEVICE void load_queries(const LaneView& v, const sluice_group& g, const float* q, uint32_t first, uint32_t n,
                                float* to) {
  for (uint32_t i = thread_index(); i < n * g.head_dim; i += thread_count())
    to[i] = q[LaneView::at(v, g, first + i / g.head_dim) + i % g.head_dim];
}
SLUICE_DEVICE void load_positions(const LaneView& v, const uint32_t* positions, uint32_t first, uint32_t n,
                                  uint32_t* to) {
  for (uint32_t i = thread_index(); i < n; i += thread_count()) to[i] = positions[LaneView::row_of(v, first + i)];
}

// F16 rows first .. first + n - 1 of a span. The caller syncs.
SLUICE_DEVICE void load_rows(const sluice_span& span, uint32_t first, uint32_t n, uint32_t head_dim, uint32_t* to) {
  const uint32_t wide = row_words(head_dim);
  const auto* from = static_cast<const uint16_t*>(span.src) + uint64_t(first) * head_dim;
  if (head_dim % 2 == 0) {
    const auto* words = reinterpret_cast<const uint32_t*>(from);
    const uint32_t half = head_dim / 2;
    for (uint32_t i = thread_index(); i < n * half; i += thread_count()) to[i / half * wide + i % half] = words[i];
    return;
  }
  for (uint32_t i = thread_index(); i < n * head_dim; i += thread_count())
    reinterpret_cast<uint16_t*>(to + i / head_dim * wide)[i % head_dim] = from[i];
}
SLUICE_DEVICE float number_at(const uint32_t* rows, uint32_t row, uint32_t column, uint32_t head_dim) {
  return from_half(reinterpret_cast<const uint16_t*>(rows + row * row_words(head_dim))[column]);
}

// scores[i * chunk + r] = q[i] . row r; neighbouring threads share a product where there are few. The caller syncs.
SLUICE_DEVICE void chunk_scores(const float* q, uint32_t n, const uint32_t* rows, uint32_t count, uint32_t head_dim,
                                uint32_t chunk, float* scores) {
  uint32_t share = 1;
  while (share < kWarp && share * 2 * n * count <= thread_count()) share *= 2;
  const uint32_t per_round = thread_count() / share, pairs = n * count;
  for (uint32_t first = 0; first < pairs; first += per_round) {  // all lanes of a warp come along: they shuffle
    const uint32_t pair = first + thread_index() / share, i = pair / count, r = pair % count;
    float sum = 0;
    if (pair < pairs) {
      for (uint32_t c = thread_index() % share; c < head_dim; c += share)
        sum += q[i * head_dim + c] * number_at(rows, r, c, head_dim);
    }
    sum = sum_of_lanes(sum, share);
    if (pair < pairs && thread_index() % share == 0) scores[i * chunk + r] = sum;
  }
}

// Whether a query at `position` counts a token for the signal.
SLUICE_DEVICE bool counts(const sluice_signal& wanted, uint32_t token, uint32_t position) {
  return token <= position && token >= wanted.skip_first && !(wanted.skip_self && token == position);
}

}  // namespace sluice::cuda
