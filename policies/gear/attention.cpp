// See attention.hpp. The backbone's part is sluice/affine.hpp's; this file adds the low-rank part, q B once per block
// and then A, or w A and at the block's end B, and the outliers row by row (sparse.hpp).
#include "attention.hpp"

#include <algorithm>
#include <cstring>

#include "low_rank.hpp"
#include "sparse.hpp"

namespace sluice {
namespace {

constexpr uint32_t kBatch = 1024;  // outliers converted at a time, at least a row's
constexpr uint32_t kFours = SLUICE_TILE / kSparseLanes;

// mixed: q . B or w . A per direction. of_four: queries, or a chunk's weights, by fours; sums: what outliers add to the
// channels.
struct alignas(64) Work {
  AffineWork affine;
  float b[kMostRank][kMostChannels], a[kMostRank][SLUICE_CHUNK];
  float mixed[SLUICE_TILE][kMostRank];
  float value[kBatch + kSparseSlots];
  uint8_t column[kBatch + kSparseSlots];
  uint16_t count[SLUICE_CHUNK];
  FourFloats of_four[kFours][kMostChannels];
  FourFloats sums_of_four[kFours][kSparseCopies][kMostChannels];
  float sums_of_one[kSparseCopies][kMostChannels];
};

// A block of the tile, opened.
struct Block {
  const GearShape& shape;
  const sluice_kernels& kernels;
  const uint8_t* bytes;
  GearLayout layout;
  AffineView rows;
  size_t outlier = 0;  // of those in the block, the next to be read

  Block(const GearShape& of, const sluice_span& span)
      : shape(of),
        kernels(*of.rows.kernels),
        bytes(static_cast<const uint8_t*>(span.src)),
        layout(gear_open(of, span.rows, bytes)),
        rows(gear_rows<const uint16_t>(of, layout, bytes)) {}
  const uint16_t* halves(size_t at) const { return reinterpret_cast<const uint16_t*>(bytes + at); }
};

// The factors of the channels, and of a chunk's tokens, as floats.
void load_channels(const Block& block, Work& work) {
  const uint32_t d = block.shape.rows.head_dim;
  for (uint32_t j = 0; j < block.layout.rank; j++)
    block.kernels.from_half(d, block.halves(block.layout.b) + size_t(j) * d, work.b[j]);
}
void load_tokens(const Block& block, const Chunk& chunk, Work& work) {
  for (uint32_t j = 0; j < block.layout.rank; j++)
    block.kernels.from_half(chunk.count, block.halves(block.layout.a) + size_t(j) * block.layout.rows + chunk.first,
                            work.a[j]);
}

// Reads the outliers from row `first` of the chunk on, as many whole rows as fit.
SparseRows load_outliers(Block& block, const Chunk& chunk, uint32_t first, Work& work) {
  uint32_t total = 0, row = first;
  for (; row < chunk.count; row++) {
    const uint32_t count = gear_outliers_of_row(block.shape, block.layout, block.bytes, chunk.first + row);
    if (total + count > kBatch) break;
    work.count[row] = uint16_t(count);
    total += count;
  }
  block.kernels.from_half(total, block.halves(block.layout.delta) + block.outlier, work.value);
  std::copy_n(block.bytes + block.layout.columns + block.outlier, total, work.column);
  std::fill_n(work.value + total, kSparseSlots, 0.0f);
  std::fill_n(work.column + total, kSparseSlots, uint8_t(0));
  block.outlier += total;
  return {first, row - first, work.count + first, work.value, work.column};
}

// Calls use(SparseRows) until all outliers of the chunk were there.
template <class F>
void each_outliers(Block& block, const Chunk& chunk, Work& work, F use) {
  for (uint32_t row = 0; block.layout.outliers > 0 && row < chunk.count;) {
    const SparseRows rows = load_outliers(block, chunk, row, work);
    use(rows);
    row += rows.rows;
  }
}

// to[c] = x[0 .. queries)[c], by fours; the last query stands in for those that are not there.
void by_fours(uint32_t queries, uint32_t n, const float* x, size_t stride, FourFloats (*to)[kMostChannels]) {
  for (uint32_t first = 0; first < queries; first += kSparseLanes, to++, x += kSparseLanes * stride) {
    const uint32_t last = std::min(queries - first, kSparseLanes) - 1;
    const float *a = x, *b = x + std::min(last, 1u) * stride, *c = x + std::min(last, 2u) * stride,
                *d = x + last * stride;
    for (uint32_t i = 0; i < n; i++) (*to)[i] = FourFloats{a[i], b[i], c[i], d[i]};
  }
}

template <uint32_t slots>
void add_outlier_scores(const SparseRows& rows, uint32_t queries, const float* q, Work& work) {
  if (queries == 1) return sparse_scores<slots>(rows, q, work.affine.sums[0]);
  for (uint32_t first = 0; first < queries; first += kSparseLanes)
    sparse_scores<slots>(rows, work.of_four[first / kSparseLanes], std::min(queries - first, kSparseLanes),
                         work.affine.sums[first], kMostChannels);
}

}  // namespace

size_t gear_attention_scratch() { return sizeof(Work); }

sluice_status gear_dot(const GearShape& shape, const sluice_tile& tile, const float* q, float* scores) {
  const sluice_kernels& kernels = *shape.rows.kernels;
  const uint32_t d = shape.rows.head_dim;
  auto& work = *static_cast<Work*>(tile.scratch);
  // Outliers of a row on average; those of rows are as many in each.
  const bool few = shape.outlier_columns() ? shape.outliers * d < 1.5 : shape.outliers_per_row() <= 2;
  begin_dot(shape.rows, tile.queries, q, work.affine);
  if (tile.queries > 1) by_fours(tile.queries, d, q, d, work.of_four);
  for (uint32_t s = 0; s < tile.count; s++) {
    const sluice_span& span = tile.spans[s];
    Block block(shape, span);
    load_channels(block, work);
    for (uint32_t i = 0; i < tile.queries; i++)
      kernels.inners(d, block.layout.rank, q + size_t(i) * d, work.b[0], kMostChannels, work.mixed[i]);
    for (Chunk chunk; next_chunk(shape.rows, block.rows, chunk);) {
      dot_chunk(shape.rows, block.rows, chunk, tile.queries, q, work.affine);
      load_tokens(block, chunk, work);
      for (uint32_t i = 0; i < tile.queries; i++)
        kernels.axpys(chunk.count, block.layout.rank, work.mixed[i], work.a[0], SLUICE_CHUNK, work.affine.sums[i]);
      each_outliers(block, chunk, work, [&](const SparseRows& rows) {
        few ? add_outlier_scores<2>(rows, tile.queries, q, work) : add_outlier_scores<4>(rows, tile.queries, q, work);
      });
      store_scores(tile, span, chunk, work.affine, scores);
    }
  }
  return SLUICE_OK;
}

namespace {

// What outliers add to the channels of all queries, gathered over a block.
void begin_outlier_sums(const Block& block, uint32_t queries, Work& work) {
  if (block.layout.outliers == 0) return;
  const uint32_t d = block.shape.rows.head_dim, fours = queries > 1 ? (queries + kSparseLanes - 1) / kSparseLanes : 0;
  for (uint32_t copy = 0; copy < kSparseCopies; copy++) {
    std::fill_n(work.sums_of_one[copy], d, 0.0f);
    for (uint32_t f = 0; f < fours; f++) std::fill_n(work.sums_of_four[f][copy], d, FourFloats{});
  }
}

void add_outlier_sums(const Block& block, uint32_t queries, Work& work, float* out) {
  if (block.layout.outliers == 0) return;
  const uint32_t d = block.shape.rows.head_dim;
  if (queries == 1) {
    const auto& sum = work.sums_of_one;
    for (uint32_t c = 0; c < d; c++) out[c] += (sum[0][c] + sum[1][c]) + (sum[2][c] + sum[3][c]);
    return;
  }
  for (uint32_t first = 0; first < queries; first += kSparseLanes) {
    const auto& sum = work.sums_of_four[first / kSparseLanes];
    for (uint32_t c = 0; c < d; c++) {
      const FourFloats all = (sum[0][c] + sum[1][c]) + (sum[2][c] + sum[3][c]);
      for (uint32_t i = first; i < std::min(first + kSparseLanes, queries); i++)
        out[size_t(i) * d + c] += all[i - first];
    }
  }
}

}  // namespace

sluice_status gear_accumulate(const GearShape& shape, const sluice_tile& tile, const float* weights, float* out) {
  const sluice_kernels& kernels = *shape.rows.kernels;
  const uint32_t d = shape.rows.head_dim;
  auto& work = *static_cast<Work*>(tile.scratch);
  for (uint32_t s = 0; s < tile.count; s++) {
    const sluice_span& span = tile.spans[s];
    Block block(shape, span);
    load_channels(block, work);
    std::memset(work.mixed, 0, sizeof work.mixed);
    begin_outlier_sums(block, tile.queries, work);
    for (Chunk chunk; next_chunk(shape.rows, block.rows, chunk);) {
      load_weights(tile, span, chunk, weights, work.affine);
      accumulate_chunk(shape.rows, block.rows, chunk, tile.queries, work.affine, out);
      load_tokens(block, chunk, work);
      for (uint32_t i = 0; i < tile.queries; i++) {
        float part[kMostRank];
        kernels.inners(chunk.count, block.layout.rank, work.affine.weights[i], work.a[0], SLUICE_CHUNK, part);
        for (uint32_t j = 0; j < block.layout.rank; j++) work.mixed[i][j] += part[j];
      }
      if (tile.queries > 1 && block.layout.outliers > 0)
        by_fours(tile.queries, chunk.count, work.affine.weights[0], SLUICE_CHUNK, work.of_four);
      each_outliers(block, chunk, work, [&](const SparseRows& rows) {
        if (tile.queries == 1) return sparse_mix(rows, work.affine.weights[0], work.sums_of_one);
        for (uint32_t first = 0; first < tile.queries; first += kSparseLanes)
          sparse_mix(rows, work.of_four[first / kSparseLanes], work.sums_of_four[first / kSparseLanes]);
      });
    }
    for (uint32_t i = 0; i < tile.queries; i++)
      kernels.axpys(d, block.layout.rank, work.mixed[i], work.b[0], kMostChannels, out + size_t(i) * d);
    add_outlier_sums(block, tile.queries, work, out);
  }
  return SLUICE_OK;
}

}  // namespace sluice
