// gear: a quantized backbone, a few outliers kept exactly, and a low-rank correction of what the backbone loses:
// x ~ code * scale + zero + A B + outliers. This file is the codec's verbs; the block's bytes are laid out in
// block.hpp, the backbone is sluice/affine.hpp, attention, the extremes of a vector and the low-rank part have files of
// their own.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention.hpp"
#include "block.hpp"
#include "low_rank.hpp"
#include "outliers.hpp"
#include "sluice/affine_block.hpp"
#include "sluice/guard.hpp"

namespace {

using namespace sluice;

struct Gear {
  const sluice_host* host;
  Stats stats;
  GearShape side[2];
  uint32_t buffer, rank_prompt, loops;
  uint64_t seed;
};

enum { kBits, kBackbone, kGroup, kRank, kRankDecode, kOutliers, kLoops, kBuffer, kSeed, kParams };
constexpr uint32_t kPromptRows = 4096;  // of a block: the factors' share falls with the rows

const Gear& codec(const void* self) { return *static_cast<const Gear*>(self); }
const GearShape& shape_of(const void* self, uint32_t side) { return codec(self).side[side]; }

// Working memory of encode() before the arrays that depend on the number of rows.
struct alignas(64) EncodeWork {
  AffineScratch affine;
  uint16_t b[kMostRank * kMostChannels];
};

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {
    const auto group = uint32_t(params[kGroup].i), buffer = uint32_t(params[kBuffer].i);
    const bool grouped = params[kBackbone].i == 0;
    require_head_dim("gear", geometry->head_dim);
    if (grouped) {
      require_group("gear", group, geometry->head_dim);
      require_whole_groups("gear", "buffer", buffer, group);
    }
    for (const int of : {kRank, kRankDecode})
      if (params[of].i < 0 || params[of].i > kMostRank)
        throw Failure(SLUICE_INVALID, "gear: a rank of " + std::to_string(params[of].i) +
                                          " would cost more than it saves; the most is " + std::to_string(kMostRank));
    GearShape shape;
    shape.rows.kernels = sluice_kernels_best();
    shape.rows.head_dim = geometry->head_dim;
    shape.rows.bits = bits_of_choice(params[kBits].i);
    shape.rows.group = grouped ? group : geometry->head_dim;
    shape.rank = uint32_t(params[kRankDecode].i);
    shape.outliers = params[kOutliers].f;
    GearShape key = shape;
    if (grouped) key.rows.pairs = Pairs::by_channel;
    *self = host_new<Gear>(host, Gear{host,
                                      Stats(host),
                                      {key, shape},
                                      buffer,
                                      uint32_t(params[kRank].i),
                                      uint32_t(params[kLoops].i),
                                      uint64_t(params[kSeed].i)});
  });
}

void destroy(void* self) { host_delete(codec(self).host, static_cast<Gear*>(self)); }

void plan(const void* self, uint32_t side, sluice_codec_plan* plan) {
  const Gear& g = codec(self);
  *plan = {g.buffer, 0, kPromptRows / g.buffer * g.buffer, 0,
           affine_tolerance(g.side[side].rows.bits, g.side[side].rows.group)};
}

size_t bound(const void* self, uint32_t side, uint32_t rows) {
  const GearShape& shape = shape_of(self, side);
  const uint32_t rank = std::max(shape.rank, codec(self).rank_prompt);
  return gear_layout(shape, rows, {true, rank, shape.all_outliers(rows), shape.rows.pair_halves(rows)}).total;
}

// Columns whose extremes are sought at a time, so that a cache line of a row is read once.
constexpr uint32_t kStrip = 16;

// What encode() works in, EncodeWork first. x: what is to be coded, then the residual.
struct EncodeArrays {
  EncodeWork* work;
  float* x;           // [rows][head_dim]
  float* restored;    // [SLUICE_CHUNK][head_dim]
  float* strip;       // [kStrip][rows], or one row
  float* low_rank;    // [low_rank_floats()]
  uint32_t* order;    // of a vector
  uint16_t* a;        // [rank][rows]
  uint8_t* mark;      // [rows][head_dim] 1: an outlier
  uint8_t* selected;  // of a vector
  size_t bytes;
};

EncodeArrays arrays(void* scratch, uint32_t rows, uint32_t head_dim, uint32_t rank) {
  EncodeArrays arrays{};
  auto* const start = static_cast<uint8_t*>(scratch);
  const size_t numbers = size_t(rows) * head_dim, vector = std::max(rows, head_dim);
  size_t at = sizeof(EncodeWork);
  const auto take = [&]<class T>(T*& array, size_t count) {
    array = scratch ? reinterpret_cast<T*>(start + at) : nullptr;
    at += (count * sizeof(T) + 63) & ~size_t(63);
  };
  arrays.work = static_cast<EncodeWork*>(scratch);
  take(arrays.x, numbers);
  take(arrays.restored, size_t(SLUICE_CHUNK) * head_dim);
  take(arrays.strip, kStrip * vector);
  take(arrays.low_rank, low_rank_floats(rows, head_dim, rank));
  take(arrays.order, vector);
  take(arrays.a, size_t(rank) * rows);
  take(arrays.mark, numbers);
  take(arrays.selected, vector);
  arrays.bytes = at;
  return arrays;
}

size_t scratch(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
  const uint32_t rank = std::max(shape_of(self, side).rank, codec(self).rank_prompt);
  return queries > 0 ? gear_attention_scratch() : arrays(nullptr, rows, shape_of(self, side).rows.head_dim, rank).bytes;
}

// ---- encode ------------------------------------------------------------------------------------------

// Marks the outliers of x along the quantization vectors and puts the mean of the others in their place.
void take_outliers(const GearShape& shape, uint32_t rows, const EncodeArrays& w) {
  const uint32_t d = shape.rows.head_dim;
  std::memset(w.mark, 0, size_t(rows) * d);
  if (!shape.outlier_columns()) {
    const uint32_t tail = tail_length(d, shape.outliers);
    if (tail == 0) return;
    for (uint32_t r = 0; r < rows; r++) {
      float* const row = w.x + size_t(r) * d;
      uint8_t* const mark = w.mark + size_t(r) * d;
      std::copy_n(row, d, w.strip);
      const float mean = mark_extremes(d, tail, w.strip, mark, w.order);
      for (uint32_t c = 0; c < d; c++)
        if (mark[c]) row[c] = mean;
    }
    return;
  }
  const uint32_t tail = tail_length(rows, shape.outliers);
  if (tail == 0) return;
  for (uint32_t first = 0; first < d; first += kStrip) {
    for (uint32_t r = 0; r < rows; r++)
      for (uint32_t c = 0; c < kStrip; c++) w.strip[size_t(c) * rows + r] = w.x[size_t(r) * d + first + c];
    for (uint32_t c = 0; c < kStrip; c++) {
      const float mean = mark_extremes(rows, tail, w.strip + size_t(c) * rows, w.selected, w.order);
      for (uint32_t r = 0; r < rows; r++) {
        if (!w.selected[r]) continue;
        w.mark[size_t(r) * d + first + c] = 1;
        w.x[size_t(r) * d + first + c] = mean;
      }
    }
  }
}

sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch, void* dst,
                     size_t* bytes) {
  const Gear& g = codec(self);
  const GearShape& shape = g.side[block->side];
  const Affine& backbone = shape.rows;
  const uint32_t n = block->rows, d = backbone.head_dim, rank = block->prompt ? g.rank_prompt : shape.rank;
  const EncodeArrays w = arrays(scratch, n, d, rank);

  const uint64_t changed = copy_finite(size_t(n) * d, rows, w.x);
  if (changed > 0) g.stats.add("non-finite values per block", double(changed), 1);
  take_outliers(shape, n, w);

  // The backbone goes to where it stands if the block gets the rank it asked for, and moves if it does not.
  const auto contents = [&](uint32_t of_rank) {
    const bool header = of_rank != shape.rank || (shape.outlier_columns() && shape.all_outliers(n) > 0);
    return GearContents{header, of_rank, shape.all_outliers(n), backbone.pair_halves(n)};
  };
  auto* const start = static_cast<uint8_t*>(dst);
  std::memset(start, 0, bound(self, block->side, n));
  GearLayout layout = gear_layout(shape, n, contents(rank));
  encode_rows(backbone, n, w.x, gear_rows<uint16_t>(shape, layout, start), w.work->affine);

  // What the backbone loses, nothing at outliers.
  const AffineView view = gear_rows<const uint16_t>(shape, layout, static_cast<const uint8_t*>(start));
  for (uint32_t first = 0; first < n; first += SLUICE_CHUNK) {
    const uint32_t count = std::min(SLUICE_CHUNK, n - first);
    float* const x = w.x + size_t(first) * d;
    const uint8_t* const mark = w.mark + size_t(first) * d;
    decode_rows(backbone, view, first, count, w.restored);
    for (size_t i = 0; i < size_t(count) * d; i++) x[i] = mark[i] ? 0.0f : x[i] - w.restored[i];
  }
  LowRank found{0, 0, 0};
  if (rank > 0) {
    found = approximate(*backbone.kernels, n, d, w.x, rank, g.loops, block->seed ^ g.seed * 0xD1342543DE82EF95u,
                        w.low_rank, w.a, w.work->b);
    if (found.total > 0)
      g.stats.add(block->side == SLUICE_KEY ? "explained K" : "explained V", found.part, found.total);
  }
  if (found.rank != rank) layout = gear_move(shape, layout, gear_layout(shape, n, contents(found.rank)), start);
  gear_write_header(layout, start);
  std::memcpy(start + layout.b, w.work->b, 2 * size_t(found.rank) * d);
  std::memcpy(start + layout.a, w.a, 2 * size_t(found.rank) * n);
  gear_write_outliers(shape, layout, rows, w.mark, w.restored, start);
  *bytes = layout.total;
  return SLUICE_OK;
}

sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first, uint32_t count,
                     float* rows) {
  const GearShape& shape = shape_of(self, block->side);
  gear_decode(shape, gear_open(shape, block->rows, src), src, first, count, true, rows);
  return SLUICE_OK;
}

void account(const void* self, const sluice_block* block, const void* src, sluice_account* account) {
  const GearShape& shape = shape_of(self, block->side);
  const GearLayout layout = gear_open(shape, block->rows, src);
  *account = {};
  account->codes = layout.total - layout.codes;
  account->scales = 2 * layout.halves;
  account->low_rank = layout.delta - layout.b;
  account->outlier_values = layout.counts - layout.delta;
  account->row_pointers = layout.columns - layout.counts;
  account->outlier_indices = layout.end - layout.columns;
  account->index = layout.pairs;
  account->padding = layout.codes - layout.end;
}

sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                     size_t* bytes) {
  *bytes = n == 0 ? 0 : gear_retain(shape_of(self, block->side), block->rows, src, keep, n);
  return SLUICE_OK;
}

sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  return gear_dot(shape_of(self, SLUICE_KEY), *tile, q, scores);
}

sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  return gear_accumulate(shape_of(self, SLUICE_VALUE), *tile, weights, out);
}

const sluice_codec table = {create, destroy, plan, bound, scratch, encode, decode, account, retain, dot, accumulate};
const sluice_param params[kParams] = {
    {"bits", "bits of a code of the backbone", "2|3|4|8", SLUICE_CHOICE, 0, {.i = 0}, {.i = 0}, {.i = 3}},
    {"backbone",
     "group: K per channel, V per token, in groups; uniform: one scale and zero per row of a head",
     "group|uniform",
     SLUICE_CHOICE,
     0,
     {.i = 0},
     {.i = 0},
     {.i = 1}},
    {"group",
     "tokens of a channel of K, channels of a token of V, that share a scale and a zero",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 32},
     {.i = 256}},
    {"rank",
     "rank of the correction of a prompt's blocks; 0: none",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 4},
     {.i = 0},
     {.i = kMostRank}},
    {"rank_decode",
     "rank of the correction of blocks gathered while decoding",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 2},
     {.i = 0},
     {.i = kMostRank}},
    {"outliers",
     "share of the numbers kept exactly, half of them largest, half smallest",
     nullptr,
     SLUICE_FLOAT,
     0,
     {.f = 0.02},
     {.f = 0.0},
     {.f = 0.5}},
    {"loops", "power iterations", nullptr, SLUICE_INT, 0, {.i = 3}, {.i = 1}, {.i = 32}},
    {"buffer",
     "rows that gather in half precision before they are coded together, a multiple of group",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 32},
     {.i = 1024}},
    {"seed", "of the power iteration's start", nullptr, SLUICE_INT, 0, {.i = 0}, {.i = 0}, {.i = INT64_MAX}},
};
const sluice_module gear_module = {SLUICE_CODEC,
                                   &table,
                                   SLUICE_CODEC_LAYOUT,
                                   kParams,
                                   params,
                                   "gear",
                                   "quantized backbone, exact outliers and a low-rank correction",
                                   "1.0",
                                   "https://arxiv.org/abs/2403.05527",
                                   nullptr};
const sluice_module* const modules[] = {&gear_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
