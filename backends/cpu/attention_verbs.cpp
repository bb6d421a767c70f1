// kv_store, and attention in three verbs between which codecs join in. No memory but the stack's, so that several
// threads may serve different lanes.
#include "backends/cpu/attention.h"

namespace sluice::cpu {

sluice_status check_group(const Backend& backend, const char* operation, const sluice_group& group) {
  if (group.head_dim == 0 || group.head_dim > kMaxHeadDim) {
    return fail(backend, SLUICE_UNSUPPORTED, "%s: head_dim %u; the cpu backend takes 1 to %u", operation,
                group.head_dim, kMaxHeadDim);
  }
  if (group.kv_heads == 0 || group.heads % group.kv_heads || group.segment_rows == 0) {
    return fail(backend, SLUICE_INVALID, "%s: %u heads on %u kv heads, segments of %u rows", operation, group.heads,
                group.kv_heads, group.segment_rows);
  }
  return SLUICE_OK;
}

sluice_status kv_store(void* self, sluice_queue*, const sluice_group* group, const sluice_mat* k, const sluice_mat* v,
                       const uint32_t* positions, const sluice_store* places) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "kv_store", *group)) return status;
  const uint32_t dim = group->head_dim, kv_heads = group->kv_heads;
  const auto to_half = backend.kernels->rows->to_half;
  const auto store = [&](const sluice_mat& from, uint32_t t, uint32_t h, uint32_t first_span, uint32_t row) {
    const sluice_span& span = group->spans[first_span + row / group->segment_rows];
    auto* rows = const_cast<uint16_t*>(static_cast<const uint16_t*>(span.src));  // this is who fills them
    to_half(from.data + size_t(t) * from.cols + size_t(h) * dim, dim, rows + size_t(row % group->segment_rows) * dim);
  };
  for (uint32_t s = 0; s < group->sequences; s++) {
    const sluice_part& part = group->parts[s];
    parallel_rows(backend, part.count, uint64_t(kv_heads) * dim * 2, [&](uint32_t from, uint32_t to) {
      for (uint32_t t = part.first + from; t < part.first + to; t++) {
        for (uint32_t h = 0; h < kv_heads; h++) {
          const sluice_lane& lane = group->lanes[s * kv_heads + h];
          const sluice_store& place = places[size_t(t) * kv_heads + h];
          store(*k, t, h, lane.k_first, place.k_row);
          store(*v, t, h, lane.v_first, place.v_row);
          // Lanes may share a table of positions, and others may be reading it: leave alone what is right already.
          uint32_t& position = group->slot_pos[lane.slot_at + place.slot];
          if (position != positions[t]) position = positions[t];
        }
      }
    });
  }
  return SLUICE_OK;
}

sluice_status attn_scores(void* self, sluice_queue*, const sluice_group* group, uint32_t first, uint32_t lanes,
                          const sluice_mat* q, float* scores) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "attn_scores", *group)) return status;
  parallel(backend, lanes, [&](uint32_t i) {
    const LaneTask task(*group, first + i);
    alignas(64) float tile[kQueryTile * kMaxHeadDim];
    for (uint32_t query = 0; query < task.queries; query += kQueryTile) {
      const uint32_t n = std::min(kQueryTile, task.queries - query);
      load_queries(task, *q, query, n, tile);
      for (const sluice_span* span = task.k_begin(); span < task.k_end(); span++) {
        // Any position but SLUICE_FREE may be seen: positions are not known here.
        backend.kernels->attention->scores(tile, n, group->head_dim, *span, task.slots, SLUICE_FREE - 1,
                                           task.score_row(scores, query), group->max_slots);
      }
    }
  });
  return SLUICE_OK;
}

sluice_status attn_softmax(void* self, sluice_queue*, const sluice_group* group, uint32_t first, uint32_t lanes,
                           const uint32_t* positions, float* scores, const sluice_signal* wanted, float* signal) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "attn_softmax", *group)) return status;
  const AttentionKernels& kernels = *backend.kernels->attention;
  const bool signals = wants_signal(wanted, signal);
  parallel(backend, lanes, [&](uint32_t i) {
    const LaneTask task(*group, first + i);
    for (uint32_t query = 0; query < task.queries; query++) {
      float* row = task.score_row(scores, query);
      const uint32_t position = positions[task.row(query)];
      Softmax result;
      kernels.softmax(task.slots, position, group->scale, row, &result);
      if (!signals || !task.feeds_signal(query)) continue;
      const float share = wanted->kind == SLUICE_PEAK ? kernels.share(task.slots, position, *wanted, row) : 0;
      kernels.signal(task.slots, position, *wanted, share, row, signal + task.lane->slot_at);
    }
  });
  return SLUICE_OK;
}

sluice_status attn_mix(void* self, sluice_queue*, const sluice_group* group, uint32_t first, uint32_t lanes,
                       const float* scores, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "attn_mix", *group)) return status;
  parallel(backend, lanes, [&](uint32_t i) {
    const LaneTask task(*group, first + i);
    alignas(64) float part[kQueryTile * kMaxHeadDim];
    for (uint32_t query = 0; query < task.queries; query += kQueryTile) {
      const uint32_t n = std::min(kQueryTile, task.queries - query);
      const float* weights = task.score_row(const_cast<float*>(scores), query);
      for (const sluice_span* span = task.v_begin(); span < task.v_end(); span++) {
        backend.kernels->attention->mix(weights, group->max_slots, n, group->head_dim, *span, task.slots, part);
        merge(task, part, query, n, *out);
      }
    }
  });
  return SLUICE_OK;
}

}  // namespace sluice::cpu
