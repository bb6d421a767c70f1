// Attention on the host's side: how lanes are cut into blocks and shares, so that the device has enough to do and
// shared memory suffices. Tables are on the device; what a launch is sized by are the group's capacities.
#include <algorithm>
#include <iterator>

#include "backends/cuda/cuda.h"

namespace sluice::cuda {
namespace {

constexpr uint32_t kMostHeadDim = 512;
constexpr uint32_t kMostQueries = 65535;  // of a grid's second dimension

sluice_status check_group(const Backend& backend, const char* operation, const sluice_group& g) {
  if (g.head_dim == 0 || g.head_dim > kMostHeadDim) {
    return fail(backend, SLUICE_UNSUPPORTED, "%s: heads of %u numbers; the cuda backend takes 1 to %u", operation,
                g.head_dim, kMostHeadDim);
  }
  if (g.kv_heads == 0 || g.heads % g.kv_heads || g.segment_rows == 0) {
    return fail(backend, SLUICE_INVALID, "%s: %u heads on %u kv heads, segments of %u rows", operation, g.heads,
                g.kv_heads, g.segment_rows);
  }
  if (uint64_t(g.max_count) * (g.heads / g.kv_heads) > kMostQueries) {
    return fail(backend, SLUICE_UNSUPPORTED, "%s: %u tokens at once with %u query heads each; a lane takes %u queries",
                operation, g.max_count, g.heads / g.kv_heads, kMostQueries);
  }
  return SLUICE_OK;
}

uint32_t ceiling(uint32_t n, uint32_t per) { return (n + per - 1) / per; }
uint32_t lane_count(const sluice_group& g) { return g.sequences * g.kv_heads; }
uint32_t query_count(const sluice_group& g) { return g.max_count * (g.heads / g.kv_heads); }
uint32_t segment_count(const sluice_group& g) { return std::max(1u, ceiling(g.max_slots, g.segment_rows)); }

// The largest tile, then the largest chunk, that `shared` bytes are enough for.
template <class Shared>
Cut cut_for(const Backend& backend, const sluice_group& g, Shared shared) {
  Cut cut{std::min(kMostTile, query_count(g)), 64};
  while (cut.chunk > 8 && shared(cut, g.head_dim) > backend.facts.shared_bytes) cut.chunk /= 2;
  while (cut.tile > 1 && shared(cut, g.head_dim) > backend.facts.shared_bytes) cut.tile /= 2;
  return cut;
}

bool wants_signal(const sluice_signal* wanted, const float* signal) {
  return wanted && signal && wanted->kind != SLUICE_NO_SIGNAL;
}

// Launches one after the other until one fails.
struct Launches {
  const Backend& backend;
  const sluice_queue& queue;
  const char* operation;
  sluice_status status = SLUICE_OK;
  void run(Kernel kernel, const Grid& grid, const void* arguments) {
    if (status == SLUICE_OK)
      status = answer(backend, backend.gpu->launch(kernel, grid, arguments, queue.stream), operation);
  }
};

}  // namespace

sluice_status kv_store(void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* k,
                       const sluice_mat* v, const uint32_t* positions, const sluice_store* places) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "kv_store", *group)) return status;
  if (lane_count(*group) == 0 || group->max_count == 0) return SLUICE_OK;
  const StoreArgs store{*group, k->data, v->data, positions, places};
  Launches launches{backend, *queue, "kv_store"};
  launches.run(Kernel::kStore, {lane_count(*group), group->max_count, kAttentionThreads, 0}, &store);
  return launches.status;
}

sluice_status attention(void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                        const uint32_t* positions, const sluice_signal* wanted, float* signal, const sluice_mat* out) {
  Backend& backend = backend_of(self);
  const sluice_group& g = *group;
  if (const sluice_status status = check_group(backend, "attention", g)) return status;
  const uint32_t lanes = lane_count(g), queries = query_count(g);
  if (lanes == 0 || queries == 0) return SLUICE_OK;
  const bool signals = wants_signal(wanted, signal);
  const Cut cut = cut_for(backend, g, attend_shared);
  const uint32_t tiles = ceiling(queries, cut.tile), segments = segment_count(g);
  // As many shares as keep the device busy twice over, where tiles alone do not.
  const uint32_t wished = std::clamp(ceiling(4 * backend.facts.processors, lanes * tiles), 1u, segments);
  const uint32_t per_share = ceiling(segments, wished), shares = ceiling(segments, per_share);
  const uint64_t share_floats = uint64_t(q->rows) * g.heads * (kPartHead + g.head_dim);
  if (const sluice_status s =
          reserve(backend, *queue, queue->parts, shares * share_floats * sizeof(float), "attention"))
    return s;
  if (signals) {
    const uint64_t bytes = uint64_t(q->rows) * g.heads * sizeof(Softmax);
    if (const sluice_status s = reserve(backend, *queue, queue->softmax, bytes, "attention: signals")) return s;
  }
  auto* const parts = static_cast<float*>(queue->parts.data);
  auto* const softmax = signals ? static_cast<Softmax*>(queue->softmax.data) : nullptr;
  const AttendArgs attend{g,         q->data, positions,   signals ? *wanted : sluice_signal{}, cut, tiles,
                          per_share, parts,   share_floats};
  const MergeArgs merge{g, shares, parts, share_floats, out->data, softmax};
  Launches launches{backend, *queue, "attention"};
  launches.run(Kernel::kAttend, {lanes * tiles, shares, kAttentionThreads, attend_shared(cut, g.head_dim)}, &attend);
  launches.run(Kernel::kMerge, {lanes, queries, kAttentionThreads, 0}, &merge);
  if (signals) {
    const Cut rows = cut_for(backend, g, signal_shared);
    const SignalArgs gather{g, q->data, positions, *wanted, rows, softmax, signal};
    launches.run(Kernel::kGatherSignal, {lanes, segments, kAttentionThreads, signal_shared(rows, g.head_dim)}, &gather);
  }
  return launches.status;
}

sluice_status attn_scores(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                          const sluice_mat* q, float* scores) {
  const Backend& backend = backend_of(self);
  const sluice_group& g = *group;
  if (const sluice_status status = check_group(backend, "attn_scores", g)) return status;
  if (lanes == 0 || query_count(g) == 0) return SLUICE_OK;
  VerbArgs verb{};
  verb.group = g, verb.first = first, verb.cut = cut_for(backend, g, verb_shared);
  verb.tiles = ceiling(query_count(g), verb.cut.tile);
  verb.q = q->data, verb.scores = scores;
  Launches launches{backend, *queue, "attn_scores"};
  launches.run(Kernel::kScoreRows,
               {lanes * verb.tiles, segment_count(g), kAttentionThreads, verb_shared(verb.cut, g.head_dim)}, &verb);
  return launches.status;
}

sluice_status attn_softmax(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                           const uint32_t* positions, float* scores, const sluice_signal* wanted, float* signal) {
  Backend& backend = backend_of(self);
  const sluice_group& g = *group;
  if (const sluice_status status = check_group(backend, "attn_softmax", g)) return status;
  if (lanes == 0 || query_count(g) == 0) return SLUICE_OK;
  const bool signals = wants_signal(wanted, signal);
  VerbArgs verb{};
  verb.group = g, verb.first = first, verb.positions = positions, verb.scores = scores;
  if (signals) {
    const uint64_t bytes = uint64_t(lane_count(g)) * query_count(g) * sizeof(float);
    if (const sluice_status s = reserve(backend, *queue, queue->softmax, bytes, "attn_softmax: signals")) return s;
    verb.wanted = *wanted, verb.shares = static_cast<float*>(queue->softmax.data), verb.signal = signal;
  }
  Launches launches{backend, *queue, "attn_softmax"};
  launches.run(Kernel::kSoften, {lanes, query_count(g), kRowThreads, kRowThreads / kWarp * uint32_t(sizeof(float))},
               &verb);
  if (signals) launches.run(Kernel::kGatherWeights, {lanes, ceiling(g.max_slots, kRowThreads), kRowThreads, 0}, &verb);
  return launches.status;
}

sluice_status attn_mix(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                       const float* scores, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  const sluice_group& g = *group;
  if (const sluice_status status = check_group(backend, "attn_mix", g)) return status;
  if (lanes == 0 || query_count(g) == 0) return SLUICE_OK;
  VerbArgs verb{};
  verb.group = g, verb.first = first, verb.cut = cut_for(backend, g, verb_shared);
  verb.tiles = ceiling(query_count(g), verb.cut.tile);
  verb.scores = const_cast<float*>(scores), verb.out = out->data;
  Launches launches{backend, *queue, "attn_mix"};
  launches.run(Kernel::kMixRows, {lanes * verb.tiles, 1, kAttentionThreads, verb_shared(verb.cut, g.head_dim)}, &verb);
  return launches.status;
}

}  // namespace sluice::cuda
