// See attention.h: tables for the backend's fused operation, or scores, softmax and mix with codecs between them.
#include "core/run/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/base/error.h"

namespace sluice {

// A backend group and, for a coded sequence, the workspace of its lanes.
struct CacheAttention::Group {
  sluice_group group{};
  SequenceCache* cache = nullptr;
  const sluice_signal* wanted = nullptr;
  float* signal = nullptr;
  uint32_t rows_per_tile = 0;  // tokens whose query heads make one tile
  uint64_t work_at = 0;        // in work_: of lane 0
  uint64_t lane_floats = 0;    // from one lane's workspace to the next
  uint64_t scores_floats = 0;  // the lane's scores come first, then gathered queries, then codec scratch
};

namespace {

uint64_t round_up(uint64_t n) { return (n + 15) / 16 * 16; }

}  // namespace

CodedWork coded_work(const Policy& policy, uint32_t layer, std::array<uint32_t, 2> block_rows, uint64_t slots,
                     uint32_t count) {
  const sluice_geometry& g = policy.geometry;
  const uint32_t per = g.heads / g.kv_heads;
  CodedWork work;
  work.rows_per_tile = std::min(std::max(1u, SLUICE_TILE / per), count);
  work.scores = round_up(uint64_t(g.kv_heads) * work.rows_per_tile * per * slots);
  uint64_t scratch = uint64_t(kDecodeRows) * g.head_dim;
  for (uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
    const Instance* codec = policy.layers[layer].codec[side];
    if (!codec) continue;
    const uint32_t rows = std::max(block_rows[side], 1u);
    const uint64_t bytes = codec->call("scratch", policy.codec(layer, side).scratch, side, rows, SLUICE_TILE);
    scratch = std::max<uint64_t>(scratch, sane_bytes(*codec, "scratch", bytes) / sizeof(float) + 16);
  }
  work.lane = round_up(2 * uint64_t(SLUICE_TILE) * g.head_dim) + round_up(scratch);
  return work;
}

CacheAttention::CacheAttention(const Ops& ops, ThreadPool& pool, Arena& arena, const sluice_geometry& geometry,
                               const KeyRotation& rotation, bool immediate)
    : ops_(ops), pool_(pool), arena_(arena), geometry_(geometry), rotation_(rotation), tables_(ops, immediate) {}

CacheAttention::~CacheAttention() { work_.release(memory()); }

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
  groups_.reserve(parts_.size());
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
  tables_.clear(layer), order_.clear(), groups_.clear();
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
  const sluice_backend& table = ops_.table();
  uint64_t floats = 0;
  for (uint32_t i = 0; i < parts_.size(); i++) {
    if (fused(layer, parts_[i])) continue;
    Group g;
    collect(layer, i, g);
    ops_.run("kv_store", table.kv_store, &g.group, &a.k, &a.v, positions, places_);
    turn_keys(layer, {&i, 1}, g);
    const std::array<uint32_t, 2> block_rows = {g.cache->max_block_rows(layer, SLUICE_KEY),
                                                g.cache->max_block_rows(layer, SLUICE_VALUE)};
    const CodedWork work = coded_work(g.cache->policy(), layer, block_rows, g.group.max_slots, g.group.max_count);
    g.rows_per_tile = g.group.max_count = work.rows_per_tile;
    g.group.sequences = 1;
    g.scores_floats = work.scores, g.lane_floats = work.lane, g.work_at = floats;
    floats += g.scores_floats + g.lane_floats * geometry_.kv_heads;
    groups_.push_back(g);
  }
  if (work_.capacity() < floats) {
    constexpr uint64_t kMost = UINT32_MAX - 63;  // an array counts in 32 bits, its piece in lines of 64 bytes
    if (floats > kMost)
      throw Error(
          fmt::format(
              "attention over coded rows needs {} bytes of work space, more than the {} there can be: use smaller "
              "batches or a smaller context",
              floats * sizeof(float), kMost * sizeof(float)),
          kExitFailed);
    work_.release(memory());
    work_.reserve(uint32_t(std::min(floats + floats / 4, kMost)), memory());
  }
  const uint32_t heads = geometry_.kv_heads;
  pool_.each(uint32_t(groups_.size()) * heads,
             [&](uint32_t i) { coded_lane(layer, groups_[i / heads], i % heads, a, positions); });
}

namespace {

// What dot() and accumulate() do, by decoding: for codecs without them.
struct DecodedRows {
  const Instance& codec;
  float* rows;  // [kDecodeRows][head_dim]
  uint32_t head_dim;
  template <class F>  // f(slot, row of floats)
  uint64_t each(const SequenceCache& cache, uint32_t layer, uint32_t head, uint32_t side, F f) const {
    const auto& table = codec.table<sluice_codec>();
    const auto spans = cache.coded_spans(layer, head, side);
    uint64_t total = 0;
    for (uint32_t i = 0; i < spans.size(); i++) {
      const sluice_block block = cache.block(layer, head, side, i);
      for (uint32_t first = 0; first < block.rows; first += kDecodeRows) {
        const uint32_t count = std::min(kDecodeRows, block.rows - first);
        codec.call("decode", table.decode, &block, spans[i].src, first, count, rows);
        for (uint32_t r = 0; r < count; r++) {
          const uint32_t row = first + r;
          f(slot_of(spans[i], row), rows + uint64_t(r) * head_dim);
        }
      }
      total += block.rows;
    }
    return total;
  }
};

}  // namespace

// One lane, tile by tile of queries: scores of dense rows, of coded rows, softmax, coded values, dense values.
void CacheAttention::coded_lane(uint32_t layer, const Group& g, uint32_t head, const Activations& a,
                                const uint32_t* positions) {
  const sluice_backend& table = ops_.table();
  const LayerPolicy& rules = g.cache->policy().layers[layer];
  const uint32_t per = geometry_.heads / geometry_.kv_heads, d = geometry_.head_dim, slots = g.group.max_slots;
  float* const scores = work_.data() + g.work_at;  // [lanes][rows_per_tile * per][max_slots]
  float* const lane_scores = scores + uint64_t(head) * g.rows_per_tile * per * slots;
  float* const queries = scores + g.scores_floats + uint64_t(head) * g.lane_floats;  // [16][head_dim]
  float* const outputs = queries + uint64_t(SLUICE_TILE) * d;                        // [16][head_dim]
  float* const scratch = queries + round_up(2 * uint64_t(SLUICE_TILE) * d);
  const sluice_part whole = g.group.parts[0];
  for (uint32_t done = 0; done < whole.count; done += g.rows_per_tile) {
    const uint32_t rows = std::min(g.rows_per_tile, whole.count - done);
    const sluice_part part{whole.first + done, rows, whole.signal_from, 0};
    sluice_group group = g.group;
    group.parts = &part;
    auto head_of = [&](const sluice_mat& m, uint32_t row) {
      return m.data + uint64_t(part.first + row) * m.cols + uint64_t(head) * per * d;
    };
    ops_.run("attn_scores", table.attn_scores, &group, head, 1u, &a.q, scores);
    for (uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      if (side == SLUICE_VALUE) {
        ops_.run("attn_softmax", table.attn_softmax, &group, head, 1u, positions, scores, g.wanted, g.signal);
        for (uint32_t r = 0; r < rows; r++) std::fill_n(head_of(a.mix, r), uint64_t(per) * d, 0.0f);
      }
      const auto spans = g.cache->coded_spans(layer, head, side);
      if (spans.empty()) continue;
      const Instance& codec = *rules.codec[side];
      const auto& verbs = codec.table<sluice_codec>();
      // A tile's queries lie one after another; those of a single row do so in the batch already.
      for (uint32_t first = 0; first < rows * per; first += SLUICE_TILE) {
        const uint32_t n = std::min(SLUICE_TILE, rows * per - first);
        const bool in_place = rows == 1;
        const sluice_mat& m = side == SLUICE_KEY ? a.q : a.mix;
        auto at = [&](uint32_t i) { return head_of(m, (first + i) / per) + uint64_t((first + i) % per) * d; };
        float* tile = in_place ? at(0) : side == SLUICE_KEY ? queries : outputs;
        if (!in_place)
          for (uint32_t i = 0; i < n; i++) std::copy_n(at(i), d, tile + uint64_t(i) * d);
        float* const tile_scores = lane_scores + uint64_t(first) * slots;
        const sluice_tile t{layer, head, n, uint32_t(spans.size()), spans.data(), slots, scratch};
        if (side == SLUICE_KEY && verbs.dot) {
          codec.call("dot", verbs.dot, &t, tile, tile_scores);
        } else if (side == SLUICE_VALUE && verbs.accumulate) {
          codec.call("accumulate", verbs.accumulate, &t, tile_scores, tile);
        } else {
          const DecodedRows decoded{codec, scratch, d};
          decoded_rows_.fetch_add(decoded.each(*g.cache, layer, head, side,
                                               [&](uint32_t slot, const float* row) {
                                                 for (uint32_t i = 0; i < n; i++) {
                                                   float* const x = tile + uint64_t(i) * d;
                                                   float& score = tile_scores[uint64_t(i) * slots + slot];
                                                   if (side == SLUICE_KEY) {
                                                     float sum = 0;
                                                     for (uint32_t c = 0; c < d; c++) sum += x[c] * row[c];
                                                     score = sum;
                                                   } else if (score > 0) {
                                                     for (uint32_t c = 0; c < d; c++) x[c] += score * row[c];
                                                   }
                                                 }
                                               }),
                                  std::memory_order_relaxed);
        }
        if (!in_place && side == SLUICE_VALUE)
          for (uint32_t i = 0; i < n; i++) std::copy_n(tile + uint64_t(i) * d, d, at(i));
      }
    }
    ops_.run("attn_mix", table.attn_mix, &group, head, 1u, scores, &a.mix);
  }
}

}  // namespace sluice
