// See attention.h.
#include "core/run/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace sluice {

// A backend group and what its evictors observe.
struct CacheAttention::Group {
  sluice_group group{};
  SequenceCache* cache = nullptr;
  const sluice_signal* wanted = nullptr;
  float* signal = nullptr;
};

CacheAttention::CacheAttention(const Ops& ops, ThreadPool& pool, Arena& arena, const sluice_geometry& geometry,
                               const KeyRotation& rotation, bool immediate)
    : ops_(ops),
      pool_(pool),
      geometry_(geometry),
      rotation_(rotation),
      tables_(ops, immediate),
      coded_(ops, pool, arena, geometry) {}

void CacheAttention::begin(std::span<const BatchPart> parts, bool prompt) {
  parts_.assign(parts.begin(), parts.end());
  prompt_ = prompt;
  uint64_t spans = 0;
  // A side never has more dense rows than its sequence has tokens: coded, every row is a token's; otherwise a row is a
  // slot, and the highest slot ever used lies below the tokens seen.
  for (const BatchPart& p : parts_)
    spans += uint64_t(geometry_.kv_heads) * 2 * ((uint64_t(p.cache->max_tokens()) + kSegmentRows - 1) / kSegmentRows);
  tables_.reserve(parts_.size(), parts_.size() * geometry_.kv_heads, spans, geometry_.layers);
  order_.reserve(parts_.size());
  turns_.reserve(spans / 2);
  coded_.reserve(parts_.size());
}

const sluice_signal* CacheAttention::wanted(const SequenceCache& cache, uint32_t layer) const {
  const sluice_signal& signal = cache.policy().layers[layer].signal[prompt_ ? 1 : 0];
  return signal.kind == SLUICE_NO_SIGNAL ? nullptr : &signal;
}

// The fused operation needs lanes that are dense throughout and whose K and V rows share their slots.
bool CacheAttention::fused(uint32_t layer, const BatchPart& part) const {
  return !part.cache->coded(layer) || (prompt_ && part.cache->seen() == 0);
}

// Appends a part's tables to the group's.
void CacheAttention::collect(uint32_t layer, uint32_t index, Group& g) {
  const BatchPart& part = parts_[index];
  const SequenceCache& cache = *part.cache;
  if (g.group.sequences == 0) {
    g.group = {0,
               geometry_.heads,
               geometry_.kv_heads,
               geometry_.head_dim,
               0,
               0,
               kSegmentRows,
               1 / std::sqrt(float(geometry_.head_dim)),
               tables_.parts.data() + tables_.parts.size(),
               tables_.lanes.data() + tables_.lanes.size(),
               tables_.spans.data(),
               cache.slot_pos(layer)};
    g.cache = part.cache, g.wanted = wanted(cache, layer), g.signal = g.wanted ? cache.signal(layer) : nullptr;
  }
  tables_.parts.push_back({part.first, part.count, part.signal_from, 0});
  const uint32_t slot_at = uint32_t(cache.slot_pos(layer) - g.group.slot_pos);
  for (uint32_t h = 0; h < geometry_.kv_heads; h++) {
    sluice_lane lane{};
    auto take = [&](uint32_t side, uint32_t& first, uint32_t& count) {
      first = uint32_t(tables_.spans.size()), count = cache.dense_spans(layer, h, side, nullptr);
      assert(tables_.spans.capacity() >= first + count);
      tables_.spans.resize(first + count);
      cache.dense_spans(layer, h, side, tables_.spans.data() + first);
    };
    take(SLUICE_KEY, lane.k_first, lane.k_count);
    take(SLUICE_VALUE, lane.v_first, lane.v_count);
    lane.slots = cache.slots(layer), lane.slot_at = slot_at + h * cache.slot_stride(layer);
    tables_.lanes.push_back(lane);
  }
  g.group.sequences++;
  g.group.max_count = std::max(g.group.max_count, part.count);
  // A capacity, not today's length: whoever sizes scratch by it need not grow from step to step.
  g.group.max_slots = std::max(g.group.max_slots, cache.tabled(layer) ? cache.slots(layer) : cache.max_tokens());
}

// Where positions roll, the group's K segments become those of a copy whose rows are turned by their tokens' ranks, the
// rows that have just been stored included.
void CacheAttention::turn_keys(uint32_t layer, std::span<const uint32_t> parts, const Group& g) {
  turns_.clear();
  for (size_t i = 0; i < parts.size(); i++) {
    SequenceCache& cache = *parts_[parts[i]].cache;
    if (!cache.rolling()) continue;
    for (uint32_t h = 0; h < geometry_.kv_heads; h++) {
      const SequenceCache::KeyCopy copy = cache.key_copy(layer, h);
      const sluice_lane& lane = g.group.lanes[i * geometry_.kv_heads + h];
      for (uint32_t s = lane.k_first; s < lane.k_first + lane.k_count; s++) {
        sluice_span& span = tables_.spans[s];
        uint16_t* const to = copy.rows + uint64_t(span.slot_base) * geometry_.head_dim;
        turns_.push_back({static_cast<const uint16_t*>(span.src), to, g.group.slot_pos + lane.slot_at, copy.ranks,
                          span.slot_base, span.rows, copy.shift});
        span.src = to;
      }
    }
  }
  if (turns_.empty()) return;
  pool_.each(uint32_t(turns_.size()), [&](uint32_t i) { rotation_.turn(turns_[i]); });
}

void CacheAttention::attend(uint32_t layer, const Activations& a, const uint32_t* positions) {
  tables_.clear(layer), order_.clear();
  // Dense sequences whose tables have one shape go into one group, in order of their tables' addresses.
  for (uint32_t i = 0; i < parts_.size(); i++)
    if (fused(layer, parts_[i])) order_.push_back(i);
  auto before = [&](uint32_t x, uint32_t y) {
    const SequenceCache &p = *parts_[x].cache, &q = *parts_[y].cache;
    const sluice_signal *s = wanted(p, layer), *t = wanted(q, layer);
    const int same = s && t ? std::memcmp(s, t, sizeof *s) : int(s != nullptr) - int(t != nullptr);
    if (same != 0) return same < 0;
    if (p.slot_stride(layer) != q.slot_stride(layer)) return p.slot_stride(layer) < q.slot_stride(layer);
    const auto u = reinterpret_cast<uintptr_t>(p.slot_pos(layer)), v = reinterpret_cast<uintptr_t>(q.slot_pos(layer));
    return u != v ? u < v : x < y;
  };
  std::sort(order_.begin(), order_.end(), before);
  for (size_t i = 0; i < order_.size();) {
    const SequenceCache& first = *parts_[order_[i]].cache;
    size_t end = i + 1;
    auto together = [&](const SequenceCache& c) {
      const sluice_signal *s = wanted(first, layer), *t = wanted(c, layer);
      return (s == nullptr) == (t == nullptr) && (!s || std::memcmp(s, t, sizeof *s) == 0) &&
             first.slot_stride(layer) == c.slot_stride(layer) &&
             uint64_t(c.slot_pos(layer) - first.slot_pos(layer)) < (uint64_t(1) << 31);
    };
    while (end < order_.size() && together(*parts_[order_[end]].cache)) end++;
    attend_dense(layer, std::span(order_).subspan(i, end - i), a, positions);
    i = end;
  }
  if (order_.size() < parts_.size()) attend_coded(layer, a, positions);
  keep_queries(layer, a);
  if (!watch) return;
  ops_.wait();
  watch(layer, a);
}

// The queries that evictors want to see of a prompt's last tokens. Whoever ends the layer waits for the queue first.
void CacheAttention::keep_queries(uint32_t layer, const Activations& a) {
  for (const BatchPart& part : parts_) {
    const QueryWindow window = part.cache->window(layer);
    const uint32_t first = std::max(window.first, part.offset),
                   end = std::min(window.first + window.count, part.offset + part.count);
    if (first >= end) continue;
    ops_.read(a.q.data + uint64_t(part.first + first - part.offset) * a.q.cols,
              window.rows + uint64_t(first - window.first) * a.q.cols,
              uint64_t(end - first) * a.q.cols * sizeof(float));
  }
}

void CacheAttention::attend_dense(uint32_t layer, std::span<const uint32_t> parts, const Activations& a,
                                  const uint32_t* positions) {
  Group g;
  for (uint32_t i : parts) collect(layer, i, g);
  const sluice_backend& table = ops_.table();
  const sluice_group stored = tables_.on_device(g.group);
  ops_.run("kv_store", table.kv_store, &stored, &a.k, &a.v, positions, places_);
  turn_keys(layer, parts, g);
  ops_.run("attention", table.attention, &stored, &a.q, positions, g.wanted, g.signal, &a.mix);
}

void CacheAttention::attend_coded(uint32_t layer, const Activations& a, const uint32_t* positions) {
  coded_.clear();
  for (uint32_t i = 0; i < parts_.size(); i++) {
    if (fused(layer, parts_[i])) continue;
    Group g;
    collect(layer, i, g);
    ops_.run("kv_store", ops_.table().kv_store, &g.group, &a.k, &a.v, positions, places_);
    turn_keys(layer, {&i, 1}, g);
    coded_.add(layer, g.group, *g.cache, g.wanted, g.signal);
  }
  coded_.run(layer, a, positions);
}

}  // namespace sluice
