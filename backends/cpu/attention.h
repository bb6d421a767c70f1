// What the fused attention and its three verbs share: queries of a lane in tiles, and spans merged in order.
#pragma once

#include <algorithm>
#include <cstring>

#include "backends/cpu/cpu.h"

namespace sluice::cpu {

// The queries of a lane are numbered token by token, query heads of a token next to each other, as rows of scores are.
struct LaneTask {
  const sluice_group* group;
  const sluice_lane* lane;
  const sluice_part* part;
  uint32_t index, kv_head;
  uint32_t per_token;  // query heads of the lane
  uint32_t queries;    // of all its tokens
  LaneSlots slots;

  LaneTask(const sluice_group& g, uint32_t i)
      : group(&g),
        lane(g.lanes + i),
        part(g.parts + i / g.kv_heads),
        index(i),
        kv_head(i % g.kv_heads),
        per_token(g.heads / g.kv_heads),
        queries(part->count * per_token),
        slots{g.slot_pos + lane->slot_at, std::min(lane->slots, g.max_slots)} {}

  uint32_t row(uint32_t query) const { return part->first + query / per_token; }  // of the batch
  uint32_t head(uint32_t query) const { return kv_head * per_token + query % per_token; }
  float* at(const sluice_mat& m, uint32_t query) const {
    return m.data + size_t(row(query)) * m.cols + size_t(head(query)) * group->head_dim;
  }
  bool feeds_signal(uint32_t query) const { return row(query) >= part->signal_from; }
  float* score_row(float* scores, uint32_t query) const {  // the verbs' scores
    return scores + (size_t(index) * group->max_count * per_token + query) * group->max_slots;
  }
  const sluice_span* k_begin() const { return group->spans + lane->k_first; }
  const sluice_span* k_end() const { return k_begin() + lane->k_count; }
  const sluice_span* v_begin() const { return group->spans + lane->v_first; }
  const sluice_span* v_end() const { return v_begin() + lane->v_count; }
};

// to [queries][padded_dim], zero beyond head_dim
inline void load_queries(const LaneTask& task, const sluice_mat& q, uint32_t first, uint32_t queries, float* to) {
  const uint32_t dim = task.group->head_dim, wide = padded_dim(dim);
  for (uint32_t i = 0; i < queries; i++, to += wide) {
    std::memcpy(to, task.at(q, first + i), dim * sizeof(float));
    for (uint32_t c = dim; c < wide; c++) to[c] = 0;
  }
}

// Adds a span's share [queries][padded_dim] to the output.
inline void merge(const LaneTask& task, const float* part, uint32_t first, uint32_t queries, const sluice_mat& out) {
  const uint32_t dim = task.group->head_dim, wide = padded_dim(dim);
  for (uint32_t i = 0; i < queries; i++, part += wide) {
    float* to = task.at(out, first + i);
    for (uint32_t c = 0; c < dim; c++) to[c] += part[c];
  }
}

inline bool wants_signal(const sluice_signal* wanted, const float* signal) {
  return wanted && signal && wanted->kind != SLUICE_NO_SIGNAL;
}

sluice_status check_group(const Backend& backend, const char* operation, const sluice_group& group);

}  // namespace sluice::cpu
