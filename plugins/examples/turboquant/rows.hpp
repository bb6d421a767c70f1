// Rows as a scale and a rotated direction, whose coordinates are codes of one fixed codebook: what a block of them
// looks like, and a codec's verbs on it. Rows stand for themselves: nothing is shared between tokens. The rotation is
// sluice/rotation.hpp, the codebook codebook.hpp; parameters and the plan are the codec's business.
//
// A block: half scales[rows], zeros up to a multiple of 64 bytes, and the rows' codes at the end.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "codebook.hpp"
#include "sluice/affine_block.hpp"
#include "sluice/rotation.hpp"

namespace turboquant {

using sluice::kMostChannels;

struct Rows {
  const sluice_kernels* kernels = nullptr;
  sluice::Rotation rotation;
  Codebook book;
  uint32_t bits = 0;
  float ones[kMostChannels];  // a row of ones, rotated

  uint32_t head_dim() const { return rotation.head_dim; }
  size_t row_bytes() const { return sluice_packed_bytes(bits, head_dim()); }
  size_t block_bytes(uint32_t rows) const { return sluice::round_up_64(rows * (sizeof(uint16_t) + row_bytes())); }
  size_t codes_at(uint32_t rows) const { return block_bytes(rows) - rows * row_bytes(); }
  // The relative error to promise: the paper's bound, sqrt(3) pi / 2 * 4^-bits of a row's square, and room for a single
  // short row that has a coordinate of four deviations, beyond the codebook's end.
  double tolerance() const {
    const double beyond = 4 - double(book.centroids[book.levels - 1]);
    return std::sqrt(2.7207 / (1u << 2 * bits) + beyond * beyond / head_dim());
  }
};

inline Rows make_rows(uint32_t head_dim, uint32_t bits, uint64_t seed) {
  Rows rows;
  rows.kernels = sluice_kernels_best();
  rows.rotation = sluice::make_rotation(head_dim, seed);
  rows.book = make_codebook(head_dim, bits);
  rows.bits = bits;
  std::fill_n(rows.ones, head_dim, 1.0f);
  sluice::rotate(rows.rotation, rows.ones);
  return rows;
}

// Working memory of all verbs.
struct alignas(64) Work {
  float rotated[SLUICE_TILE][kMostChannels];  // queries, or sums of a span's rows
  float row[kMostChannels];
};

// A row as it is stored: y in rotated coordinates, to be multiplied by scale.
struct Stored {
  float scale;
  bool constant;  // the row repeats one number: its scale
};
inline Stored read_row(const Rows& rows, uint32_t count, const void* src, uint32_t r, float* y) {
  const uint32_t d = rows.head_dim();
  const uint16_t half = static_cast<const uint16_t*>(src)[r];
  const float scale = std::fabs(sluice_from_half(half));
  uint8_t codes[kMostChannels];
  rows.kernels->unpack(rows.bits, d, static_cast<const uint8_t*>(src) + rows.codes_at(count) + r * rows.row_bytes(),
                       codes);
  // A scale is not negative, so its sign can mark a row of equal numbers; the codes then tell the number's sign.
  if (half >> 15) {
    std::memcpy(y, rows.ones, d * sizeof *y);
    return {codes[0] ? -scale : scale, true};
  }
  for (uint32_t c = 0; c < d; c++) y[c] = rows.book.centroids[codes[c]];
  return {scale, false};
}

// Codes and scale of x; y is working memory.
inline uint16_t encode_row(const Rows& rows, const float* x, float* y, uint8_t* codes) {
  const uint32_t d = rows.head_dim();
  if (std::all_of(x, x + d, [&](float v) { return v == x[0]; })) {
    std::memset(codes, x[0] < 0, d);
    return uint16_t(sluice_to_half(x[0]) | 0x8000);
  }
  std::memcpy(y, x, d * sizeof *y);
  rotate(rows.rotation, y);
  double square = 0, coded = 0;
  for (uint32_t c = 0; c < d; c++) square += double(y[c]) * y[c];
  const double size = std::sqrt(square / d);
  for (uint32_t c = 0; c < d; c++) {
    codes[c] = rows.book.nearest(float(y[c] / size));
    coded += double(rows.book.centroids[codes[c]]) * rows.book.centroids[codes[c]];
  }
  return sluice_to_half(float(std::min(std::sqrt(square / coded), 65504.0)));  // gives the row its length back
}

// ---- verbs ---------------------------------------------------------------------------------------

inline sluice_status encode(const Rows& rows, const sluice::Stats& stats, const sluice_block* block, const float* x,
                            void* scratch, void* dst, size_t* bytes) {
  auto& work = *static_cast<Work*>(scratch);
  auto* const start = static_cast<uint8_t*>(dst);
  const uint32_t d = rows.head_dim();
  uint64_t changed = 0;
  *bytes = rows.block_bytes(block->rows);
  std::memset(start, 0, *bytes);
  for (uint32_t r = 0; r < block->rows; r++) {
    uint8_t codes[kMostChannels];
    changed += sluice::copy_finite(d, x + size_t(r) * d, work.row);
    reinterpret_cast<uint16_t*>(start)[r] = encode_row(rows, work.row, work.rotated[0], codes);
    rows.kernels->pack(rows.bits, d, codes, start + rows.codes_at(block->rows) + r * rows.row_bytes());
  }
  if (changed > 0) stats.add("non-finite values per block", double(changed), 1);
  return SLUICE_OK;
}

inline sluice_status decode(const Rows& rows, const sluice_block* block, const void* src, uint32_t first,
                            uint32_t count, float* x) {
  const uint32_t d = rows.head_dim();
  for (uint32_t r = first; r < first + count; r++, x += d) {
    const Stored stored = read_row(rows, block->rows, src, r, x);
    if (stored.constant) {
      std::fill_n(x, d, stored.scale);
      continue;
    }
    for (uint32_t c = 0; c < d; c++) x[c] *= stored.scale;
    rotate_back(rows.rotation, x);
  }
  return SLUICE_OK;
}

inline void account(const Rows& rows, const sluice_block* block, sluice_account* account) {
  *account = {};
  account->codes = block->rows * rows.row_bytes();
  account->scales = block->rows * sizeof(uint16_t);
  account->padding = rows.block_bytes(block->rows) - account->codes - account->scales;
}

inline sluice_status retain(const Rows& rows, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                            size_t* bytes) {
  *bytes = 0;
  if (n == 0) return SLUICE_OK;
  auto* const start = static_cast<uint8_t*>(src);
  auto* const scales = static_cast<uint16_t*>(src);
  uint8_t* const codes = start + rows.codes_at(block->rows);
  for (uint32_t i = 0; i < n; i++) {
    scales[i] = scales[keep[i]];
    std::memmove(codes + i * rows.row_bytes(), codes + keep[i] * rows.row_bytes(), rows.row_bytes());
  }
  std::memmove(start + rows.codes_at(n), codes, n * rows.row_bytes());
  const size_t end = n * sizeof *scales;
  std::memset(start + end, 0, rows.codes_at(n) - end);
  *bytes = rows.block_bytes(n);
  return SLUICE_OK;
}

// Scores do not change when queries and rows are rotated alike.
inline sluice_status dot(const Rows& rows, const sluice_tile* tile, const float* q, float* scores) {
  const uint32_t d = rows.head_dim();
  auto& work = *static_cast<Work*>(tile->scratch);
  for (uint32_t i = 0; i < tile->queries; i++) {
    std::memcpy(work.rotated[i], q + size_t(i) * d, d * sizeof *q);
    rotate(rows.rotation, work.rotated[i]);
  }
  for (uint32_t s = 0; s < tile->count; s++) {
    const sluice_span& span = tile->spans[s];
    for (uint32_t r = 0; r < span.rows; r++) {
      const float scale = read_row(rows, span.rows, span.src, r, work.row).scale;
      float* const column = scores + span.slot_base + (span.slots ? span.slots[r] : r);
      for (uint32_t i = 0; i < tile->queries; i++)
        column[i * tile->stride] = scale * rows.kernels->inner(d, work.rotated[i], work.row);
    }
  }
  return SLUICE_OK;
}

// The rows of a span are summed as they are stored; their sum is rotated back.
inline sluice_status accumulate(const Rows& rows, const sluice_tile* tile, const float* weights, float* out) {
  const uint32_t d = rows.head_dim();
  auto& work = *static_cast<Work*>(tile->scratch);
  for (uint32_t s = 0; s < tile->count; s++) {
    const sluice_span& span = tile->spans[s];
    std::memset(work.rotated, 0, sizeof work.rotated);
    for (uint32_t r = 0; r < span.rows; r++) {
      const float scale = read_row(rows, span.rows, span.src, r, work.row).scale;
      const float* const column = weights + span.slot_base + (span.slots ? span.slots[r] : r);
      for (uint32_t i = 0; i < tile->queries; i++)
        rows.kernels->axpy(d, column[i * tile->stride] * scale, work.row, work.rotated[i]);
    }
    for (uint32_t i = 0; i < tile->queries; i++) {
      rotate_back(rows.rotation, work.rotated[i]);
      rows.kernels->axpy(d, 1.0f, work.rotated[i], out + size_t(i) * d);
    }
  }
  return SLUICE_OK;
}

}  // namespace turboquant
