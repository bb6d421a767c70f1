// The bytes of a gear block: where its parts stand, how they are read back, and how rows leave. What the numbers mean
// is gear.cpp's business.
//
//   header    8 bytes, only where something does not follow from the parameters and the number of rows
//   pairs     as sluice/affine.hpp says
//   b         half [rank][head_dim]
//   a         half [rank][rows]
//   delta     half [outliers]    what an outlier lacks, row by row
//   counts    [rows]             outliers of a row; only where outlier vectors are channels. One byte each, or two if
//                                head_dim is 256, since a row can be all outliers
//   columns   u8 [outliers]      the channel
//   zeros     so that all is a multiple of 64 bytes
//   codes     [rows], at the end
//
// The first half float of the pairs is a scale, whose sign is 0; a header's first two bytes have that bit set.
#pragma once

#include <algorithm>
#include <cstring>

#include "outliers.hpp"
#include "sluice/affine.hpp"

namespace sluice {

struct GearHeader {
  uint16_t mark_rank;  // 0x8000 | rank
  uint16_t zero;
  uint32_t outliers;
};

// One side of a codec.
struct GearShape {
  Affine rows;
  uint32_t rank = 0;    // of blocks gathered while decoding; others say so in a header
  double outliers = 0;  // share

  // Outliers are the extremes of a channel where the backbone quantizes channels, else of a row.
  bool outlier_columns() const { return rows.pairs == Pairs::by_channel; }
  uint32_t outliers_per_row() const { return 2 * tail_length(rows.head_dim, outliers); }
  uint32_t all_outliers(uint32_t n) const {
    return outlier_columns() ? 2 * tail_length(n, outliers) * rows.head_dim : outliers_per_row() * n;
  }
  uint32_t count_bytes() const { return rows.head_dim < 256 ? 1 : 2; }
};

// What a block holds besides its rows.
struct GearContents {
  bool header;
  uint32_t rank, outliers;
  size_t halves;  // of pairs
};

// Offsets into a block.
struct GearLayout {
  uint32_t rows = 0, rank = 0, outliers = 0;
  size_t halves = 0;
  size_t pairs = 0, b = 0, a = 0, delta = 0, counts = 0, columns = 0, end = 0, codes = 0, total = 0;
};

inline GearLayout gear_layout(const GearShape& shape, uint32_t rows, const GearContents& contents) {
  GearLayout l;
  l.rows = rows, l.rank = contents.rank, l.outliers = contents.outliers, l.halves = contents.halves;
  l.pairs = contents.header ? sizeof(GearHeader) : 0;
  l.b = l.pairs + 2 * l.halves;
  l.a = l.b + size_t(2) * l.rank * shape.rows.head_dim;
  l.delta = l.a + size_t(2) * l.rank * rows;
  l.counts = l.delta + size_t(2) * l.outliers;
  l.columns = l.counts + (shape.outlier_columns() && l.outliers > 0 ? shape.count_bytes() * rows : 0);
  l.end = l.columns + l.outliers;
  const size_t codes = rows * shape.rows.row_bytes();
  l.total = (l.end + codes + 63) & ~size_t(63);
  l.codes = l.total - codes;
  return l;
}

// Reads the first 64 bytes only.
inline GearLayout gear_open(const GearShape& shape, uint32_t rows, const void* src) {
  GearHeader header;
  std::memcpy(&header, src, sizeof header);
  GearContents contents{(header.mark_rank & 0x8000) != 0, 0, 0, 0};
  contents.rank = contents.header ? header.mark_rank & 0x7FFF : shape.rank;
  const auto* pairs = static_cast<const uint16_t*>(src) + (contents.header ? sizeof header / 2 : 0);
  const bool columns = shape.outlier_columns();
  contents.outliers = !columns ? shape.all_outliers(rows) : contents.header ? header.outliers : 0;
  contents.halves = columns ? size_t(2) * shape.rows.head_dim * group_count(pairs) : shape.rows.pair_halves(rows);
  return gear_layout(shape, rows, contents);
}

inline void gear_write_header(const GearLayout& l, uint8_t* block) {
  if (l.pairs == 0) return;
  const GearHeader header{uint16_t(0x8000 | l.rank), 0, l.outliers};
  std::memcpy(block, &header, sizeof header);
}

template <class Half, class Byte>
AffineAt<Half, Byte> gear_rows(const GearShape& shape, const GearLayout& l, Byte* block) {
  const uint32_t groups = shape.outlier_columns() ? uint32_t(l.halves / 2 / shape.rows.head_dim) : 0;
  return {reinterpret_cast<Half*>(block + l.pairs), block + l.codes, l.rows, groups};
}

// Moves pairs and codes, the only parts there are yet, to another layout of the same rows.
inline GearLayout gear_move(const GearShape& shape, const GearLayout& from, const GearLayout& to, uint8_t* block) {
  const size_t pairs = 2 * from.halves, codes = from.rows * shape.rows.row_bytes();
  if (to.codes < from.codes) {
    std::memmove(block + to.pairs, block + from.pairs, pairs);
    std::memmove(block + to.codes, block + from.codes, codes);
  } else {
    std::memmove(block + to.codes, block + from.codes, codes);
    std::memmove(block + to.pairs, block + from.pairs, pairs);
  }
  std::memset(block, 0, to.pairs);
  std::memset(block + to.pairs + pairs, 0, to.codes - to.pairs - pairs);
  return to;
}

inline uint32_t gear_outliers_of_row(const GearShape& shape, const GearLayout& l, const uint8_t* block, uint32_t r) {
  if (!shape.outlier_columns()) return shape.outliers_per_row();
  if (l.outliers == 0) return 0;
  if (shape.count_bytes() == 1) return block[l.counts + r];
  uint16_t count;
  std::memcpy(&count, block + l.counts + size_t(2) * r, sizeof count);
  return count;
}

// count rows from `first` on; outliers: with what they lack.
void gear_decode(const GearShape& shape, const GearLayout& l, const void* src, uint32_t first, uint32_t count,
                 bool outliers, float* x);

// Writes delta, counts and columns; all other parts stand. exact: the rows as encode() got them; mark[rows][head_dim]
// is 1 at outliers; restored[SLUICE_CHUNK][head_dim] is working memory.
void gear_write_outliers(const GearShape& shape, const GearLayout& l, const float* exact, const uint8_t* mark,
                         float* restored, uint8_t* block);

// Keeps the rows keep[0 .. n), n >= 1; returns the bytes of the block.
size_t gear_retain(const GearShape& shape, uint32_t rows, void* src, const uint32_t* keep, uint32_t n);

}  // namespace sluice
