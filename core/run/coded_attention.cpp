// See coded_attention.h.
#include "core/run/coded_attention.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"

namespace sluice {
namespace {

// Rows of a lane's side whose weighted sum is one output. The cuts follow from the blocks alone, so that no bit depends
// on threads or on what else is in the batch. Chosen, not measured.
constexpr uint32_t kPartRows = 512;

uint64_t round_up(uint64_t n) { return (n + 15) / 16 * 16; }

struct Part {
  uint32_t first = 0, count = 0;  // spans
};

// As many spans as it takes to have kPartRows rows.
Part part_from(std::span<const sluice_span> spans, uint32_t first) {
  Part part{first, 0};
  for (uint32_t rows = 0; rows < kPartRows && part.first + part.count < spans.size(); part.count++)
    rows += spans[part.first + part.count].rows;
  return part;
}

Part nth_part(std::span<const sluice_span> spans, uint32_t n) {
  Part part = part_from(spans, 0);
  while (n-- > 0) part = part_from(spans, part.first + part.count);
  return part;
}

uint32_t count_parts(std::span<const sluice_span> spans) {
  uint32_t n = 0;
  for (Part p = part_from(spans, 0); p.count > 0; p = part_from(spans, p.first + p.count)) n++;
  return n;
}

// With fewer jobs than this for each thread, threads would wait for the last one. Chosen, not measured.
constexpr uint32_t kJobsPerThread = 4;

}  // namespace

CodedWork coded_work(const Policy& policy, uint32_t layer, std::array<uint32_t, 2> block_rows, uint64_t slots,
                     uint32_t count, uint32_t lanes, uint32_t threads) {
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
  work.output = round_up(uint64_t(work.rows_per_tile) * per * g.head_dim);
  work.job = round_up(uint64_t(SLUICE_TILE) * g.head_dim) + round_up(scratch);
  const uint32_t parts = uint32_t(slots / kPartRows) + 1;  // a lane's blocks have no more rows than slots
  work.jobs = std::min((kJobsPerThread * threads + lanes - 1) / lanes, parts);
  work.outputs = work.jobs > 1 ? parts : 1;
  return work;
}

struct CodedAttention::Group {
  sluice_group group{};
  sluice_part part{};
  SequenceCache* cache = nullptr;
  const sluice_signal* wanted = nullptr;
  float* signal = nullptr;
  CodedWork work;
  uint32_t parts = 0;  // of the lane and side that has most of them
  uint64_t at = 0;     // in work_: scores, outputs by lane, work of jobs by lane
};

// Some tokens' query heads of one lane. The backend's tables point into it.
struct CodedAttention::Tile {
  const Group& of;
  uint32_t layer, head, per, head_dim, rows;
  sluice_part part;
  sluice_group group;
  float* scores;  // of all lanes of the group

  Tile(const Group& g, uint32_t layer, uint32_t head, uint32_t done, float* work)
      : of(g),
        layer(layer),
        head(head),
        per(g.group.heads / g.group.kv_heads),
        head_dim(g.group.head_dim),
        rows(std::min(g.work.rows_per_tile, g.part.count - done)),
        part{g.part.first + done, rows, g.part.signal_from, 0},
        group(g.group),
        scores(work + g.at) {
    group.parts = &part, group.sequences = 1, group.max_count = g.work.rows_per_tile;
  }
  Tile(const Tile&) = delete;

  uint32_t queries() const { return rows * per; }
  float* lane_scores() const { return scores + uint64_t(head) * of.work.rows_per_tile * per * group.max_slots; }
  // Query i's row of q or mix: its token's, at its head.
  float* at(const sluice_mat& m, uint32_t i) const {
    return m.data + uint64_t(part.first + i / per) * m.cols + (uint64_t(head) * per + i % per) * head_dim;
  }
  std::span<const sluice_span> spans(uint32_t side) const { return of.cache->coded_spans(layer, head, side); }
};

CodedAttention::CodedAttention(const Ops& ops, ThreadPool& pool, Arena& arena, const sluice_geometry& geometry)
    : ops_(ops), pool_(pool), arena_(arena), geometry_(geometry) {}

CodedAttention::~CodedAttention() { work_.release(memory()); }

void CodedAttention::reserve(size_t sequences) { groups_.reserve(sequences); }
void CodedAttention::clear() { groups_.clear(); }

void CodedAttention::add(uint32_t layer, const sluice_group& group, SequenceCache& cache, const sluice_signal* wanted,
                         float* signal) {
  Group& g = groups_.emplace_back();
  g.group = group, g.part = group.parts[0], g.cache = &cache, g.wanted = wanted, g.signal = signal;
  g.parts = 1;  // dense rows are the first part's
  for (uint32_t h = 0; h < geometry_.kv_heads; h++)
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
      g.parts = std::max(g.parts, count_parts(cache.coded_spans(layer, h, side)));
}

void CodedAttention::run(uint32_t layer, const Activations& a, const uint32_t* positions) {
  layer_ = layer, a_ = &a, positions_ = positions;
  const uint32_t heads = geometry_.kv_heads;
  uint64_t floats = 0;
  bool shared = false;
  for (Group& g : groups_) {
    const std::array<uint32_t, 2> block_rows = {g.cache->max_block_rows(layer, SLUICE_KEY),
                                                g.cache->max_block_rows(layer, SLUICE_VALUE)};
    g.work = coded_work(g.cache->policy(), layer, block_rows, g.group.max_slots, g.part.count,
                        uint32_t(groups_.size()) * heads, pool_.threads());
    g.at = floats, floats += g.work.scores + g.work.lane() * heads;
    shared |= g.work.jobs > 1 && g.parts > 1;
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
  if (shared)
    apart();
  else
    together();
}

// A job per lane.
void CodedAttention::together() {
  const uint32_t heads = geometry_.kv_heads;
  pool_.each(uint32_t(groups_.size()) * heads, [&](uint32_t i) {
    const Group& g = groups_[i / heads];
    for (uint32_t done = 0; done < g.part.count; done += g.work.rows_per_tile) {
      const Tile tile(g, layer_, i % heads, done, work_.data());
      for (uint32_t p = 0; p < g.parts; p++) score(tile, p, 0);
      weigh(tile);
      for (uint32_t p = 0; p < g.parts; p++) {
        mix(tile, p, 0, 0);
        add_output(tile, p, 0);
      }
      finish(tile);
    }
  });
}

// Several jobs per lane, tile by tile: each takes every so-manieth part.
void CodedAttention::apart() {
  const uint32_t heads = geometry_.kv_heads, lanes = uint32_t(groups_.size()) * heads;
  uint32_t jobs = 0, tiles = 0;
  for (const Group& g : groups_) {
    jobs = std::max(jobs, g.work.jobs);
    tiles = std::max(tiles, (g.part.count + g.work.rows_per_tile - 1) / g.work.rows_per_tile);
  }
  for (uint32_t t = 0; t < tiles; t++) {
    // what(tile, job) of whoever has so many tokens and jobs.
    const auto each = [&](uint32_t n, const auto& what) {
      pool_.each(lanes * n, [&](uint32_t i) {
        const Group& g = groups_[i / n / heads];
        const uint32_t done = t * g.work.rows_per_tile;
        if (done < g.part.count && i % n < g.work.jobs) what(Tile(g, layer_, i / n % heads, done, work_.data()), i % n);
      });
    };
    each(jobs, [&](const Tile& tile, uint32_t job) {
      for (uint32_t p = job; p < tile.of.parts; p += tile.of.work.jobs) score(tile, p, job);
    });
    each(1, [&](const Tile& tile, uint32_t) { weigh(tile); });
    each(jobs, [&](const Tile& tile, uint32_t job) {
      for (uint32_t p = job; p < tile.of.parts; p += tile.of.work.jobs) mix(tile, p, job, p);
    });
    each(1, [&](const Tile& tile, uint32_t) {
      for (uint32_t p = 0; p < tile.of.parts; p++) add_output(tile, p, p);
      finish(tile);
    });
  }
}

float* CodedAttention::output_of(const Tile& tile, uint32_t output) {
  const CodedWork& work = tile.of.work;
  return tile.scores + work.scores + (uint64_t(tile.head) * work.outputs + output) * work.output;
}

float* CodedAttention::work_of(const Tile& tile, uint32_t job) {
  const CodedWork& work = tile.of.work;
  return tile.scores + work.scores + work.output * work.outputs * geometry_.kv_heads +
         (uint64_t(tile.head) * work.jobs + job) * work.job;
}

// Scores of a part's rows of K; those of dense rows with the first.
void CodedAttention::score(const Tile& tile, uint32_t part, uint32_t job) {
  if (part == 0) ops_.run("attn_scores", ops_.table().attn_scores, &tile.group, tile.head, 1u, &a_->q, tile.scores);
  const auto spans = tile.spans(SLUICE_KEY);
  const Part p = nth_part(spans, part);
  if (p.count == 0) return;
  float* const queries = work_of(tile, job);
  for (uint32_t first = 0; first < tile.queries(); first += SLUICE_TILE) {
    const uint32_t n = std::min(SLUICE_TILE, tile.queries() - first);
    // A tile's queries lie one after another; those of a single token do so in the batch already.
    float* from = tile.at(a_->q, first);
    if (tile.rows > 1) {
      from = queries;
      for (uint32_t i = 0; i < n; i++)
        std::copy_n(tile.at(a_->q, first + i), tile.head_dim, queries + uint64_t(i) * tile.head_dim);
    }
    call(tile, SLUICE_KEY, p.first, p.count, first, n, from, job);
  }
}

void CodedAttention::weigh(const Tile& tile) {
  ops_.run("attn_softmax", ops_.table().attn_softmax, &tile.group, tile.head, 1u, positions_, tile.scores,
           tile.of.wanted, tile.of.signal);
  for (uint32_t i = 0; i < tile.queries(); i++) std::fill_n(tile.at(a_->mix, i), tile.head_dim, 0.0f);
}

// The weighted sums of a part's rows of V into an output of its own.
void CodedAttention::mix(const Tile& tile, uint32_t part, uint32_t job, uint32_t output) {
  const auto spans = tile.spans(SLUICE_VALUE);
  const Part p = nth_part(spans, part);
  if (p.count == 0) return;
  float* const sums = output_of(tile, output);
  std::fill_n(sums, uint64_t(tile.queries()) * tile.head_dim, 0.0f);
  for (uint32_t first = 0; first < tile.queries(); first += SLUICE_TILE)
    call(tile, SLUICE_VALUE, p.first, p.count, first, std::min(SLUICE_TILE, tile.queries() - first),
         sums + uint64_t(first) * tile.head_dim, job);
}

void CodedAttention::add_output(const Tile& tile, uint32_t part, uint32_t output) {
  if (nth_part(tile.spans(SLUICE_VALUE), part).count == 0) return;
  const float* sums = output_of(tile, output);
  for (uint32_t i = 0; i < tile.queries(); i++, sums += tile.head_dim) {
    float* const to = tile.at(a_->mix, i);
    for (uint32_t c = 0; c < tile.head_dim; c++) to[c] += sums[c];
  }
}

// What dense rows of V add.
void CodedAttention::finish(const Tile& tile) {
  ops_.run("attn_mix", ops_.table().attn_mix, &tile.group, tile.head, 1u, tile.scores, &a_->mix);
}

void CodedAttention::call(const Tile& tile, uint32_t side, uint32_t first_span, uint32_t spans, uint32_t first_query,
                          uint32_t queries, float* x, uint32_t job) {
  const Instance& codec = *tile.of.cache->policy().layers[tile.layer].codec[side];
  const auto& verbs = codec.table<sluice_codec>();
  const uint64_t slots = tile.group.max_slots;
  float* const scores = tile.lane_scores() + first_query * slots;
  float* const scratch = work_of(tile, job) + round_up(uint64_t(SLUICE_TILE) * tile.head_dim);
  const sluice_tile t{tile.layer, tile.head, queries, spans, tile.spans(side).data() + first_span, slots, scratch};
  if (side == SLUICE_KEY && verbs.dot)
    codec.call("dot", verbs.dot, &t, x, scores);
  else if (side == SLUICE_VALUE && verbs.accumulate)
    codec.call("accumulate", verbs.accumulate, &t, scores, x);
  else
    decode(tile, side, first_span, t, x, scores);
}

// What dot() and accumulate() do, by decoding: for codecs without them.
void CodedAttention::decode(const Tile& tile, uint32_t side, uint32_t first_span, const sluice_tile& t, float* x,
                            float* scores) {
  const Instance& codec = *tile.of.cache->policy().layers[tile.layer].codec[side];
  const uint32_t d = tile.head_dim;
  float* const rows = static_cast<float*>(t.scratch);
  uint64_t decoded = 0;
  for (uint32_t s = 0; s < t.count; s++) {
    const sluice_block block = tile.of.cache->block(tile.layer, tile.head, side, first_span + s);
    for (uint32_t first = 0; first < block.rows; first += kDecodeRows) {
      const uint32_t count = std::min(kDecodeRows, block.rows - first);
      codec.call("decode", codec.table<sluice_codec>().decode, &block, t.spans[s].src, first, count, rows);
      for (uint32_t r = 0; r < count; r++) {
        const float* const row = rows + uint64_t(r) * d;
        const uint32_t slot = slot_of(t.spans[s], first + r);
        for (uint32_t i = 0; i < t.queries; i++) {
          float* const own = x + uint64_t(i) * d;
          float& score = scores[i * t.stride + slot];
          if (side == SLUICE_KEY) {
            float sum = 0;
            for (uint32_t c = 0; c < d; c++) sum += own[c] * row[c];
            score = sum;
          } else if (score > 0) {
            for (uint32_t c = 0; c < d; c++) own[c] += score * row[c];
          }
        }
      }
    }
    decoded += block.rows;
  }
  decoded_rows_.fetch_add(decoded, std::memory_order_relaxed);
}

}  // namespace sluice
