// Keys whose channels get bits where their ranges are: the half of a block's channels with the larger ranges is coded
// with `wide` bits, the other with `narrow` bits, each channel with a scale and a zero of its own as in `group`. What a
// block looks like, and a codec's verbs on it; both halves are sluice/affine.hpp.
//
// A block, which is one group of rows: a bit per channel that is 1 for wide ones, unless both widths are equal; pairs
// of the wide and of the narrow channels, zeros up to a multiple of 64 bytes, and at the end the codes of the wide and
// of the narrow channels.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>

#include "sluice/affine_block.hpp"

namespace uneven {

using sluice::Affine;
using sluice::AffineScratch;
using sluice::AffineView;
using sluice::AffineWork;
using sluice::kCodeGroup;
using sluice::kMostChannels;

struct Keys {
  Affine wide, narrow;  // head_dim: how many channels are

  uint32_t head_dim() const { return wide.head_dim + narrow.head_dim; }
  size_t mask_bytes() const { return wide.bits == narrow.bits ? 0 : head_dim() / 8; }
  size_t pair_bytes() const { return size_t(4) * head_dim(); }
  size_t row_bytes() const { return wide.row_bytes() + narrow.row_bytes(); }
  size_t block_bytes(uint32_t rows) const {
    return sluice::round_up_64(mask_bytes() + pair_bytes() + rows * row_bytes());
  }
  size_t codes_at(uint32_t rows) const { return block_bytes(rows) - rows * row_bytes(); }
};

constexpr uint32_t kMostRows = 4096;  // of a group

// Codes come in runs of 32 channels, so a head of 32 has narrow channels only.
inline Keys make_keys(uint32_t head_dim, uint32_t wide_bits, uint32_t narrow_bits) {
  Keys keys;
  keys.wide.kernels = sluice_kernels_best();
  keys.wide.pairs = sluice::Pairs::by_channel;
  keys.wide.group = kMostRows;
  keys.narrow = keys.wide;
  keys.wide.bits = wide_bits;
  keys.wide.head_dim = head_dim / 2 / kCodeGroup * kCodeGroup;
  keys.narrow.bits = narrow_bits;
  keys.narrow.head_dim = head_dim - keys.wide.head_dim;
  return keys;
}

// ---- where things stand --------------------------------------------------------------------------

template <class Half, class Byte>
sluice::AffineAt<Half, Byte> wide_at(const Keys& keys, uint32_t rows, Byte* block) {
  return {reinterpret_cast<Half*>(block + keys.mask_bytes()), block + keys.codes_at(rows), rows, 1};
}
template <class Half, class Byte>
sluice::AffineAt<Half, Byte> narrow_at(const Keys& keys, uint32_t rows, Byte* block) {
  return {reinterpret_cast<Half*>(block + keys.mask_bytes() + size_t(4) * keys.wide.head_dim),
          block + keys.codes_at(rows) + rows * keys.wide.row_bytes(), rows, 1};
}

// The channels of a block in the order of its codes: wide ones, then narrow ones, each from low to high. Where both
// widths are equal it does not matter which are which.
struct Order {
  uint8_t channel[kMostChannels];
};
inline Order read_order(const Keys& keys, const uint8_t* mask) {
  Order order;
  if (keys.mask_bytes() == 0) {
    std::iota(order.channel, order.channel + keys.head_dim(), uint8_t(0));
    return order;
  }
  uint32_t wide = 0, narrow = keys.wide.head_dim;
  for (uint32_t c = 0; c < keys.head_dim(); c++)
    order.channel[mask[c / 8] >> c % 8 & 1 ? wide++ : narrow++] = uint8_t(c);
  return order;
}
inline void gather(uint32_t n, const uint8_t* channel, const float* from, float* to) {
  for (uint32_t k = 0; k < n; k++) to[k] = from[channel[k]];
}

// ---- verbs ---------------------------------------------------------------------------------------

inline size_t encode_scratch(const Keys& keys, uint32_t rows) {
  return sizeof(AffineScratch) + 2 * size_t(rows) * keys.head_dim() * sizeof(float);
}

// Marks the channels with the larger ranges; of equal ones those with the lower number.
inline void choose_wide(const Keys& keys, uint32_t rows, const float* x, AffineScratch& work, uint8_t* mask) {
  const uint32_t d = keys.head_dim();
  uint8_t order[kMostChannels];
  keys.wide.kernels->range(rows, d, x, work.low, work.high);
  for (uint32_t c = 0; c < d; c++) order[c] = uint8_t(c), work.scale[c] = work.high[c] - work.low[c];
  std::nth_element(order, order + keys.wide.head_dim, order + d, [&](uint8_t i, uint8_t j) {
    return work.scale[i] != work.scale[j] ? work.scale[i] > work.scale[j] : i < j;
  });
  for (uint32_t i = 0; i < keys.wide.head_dim; i++) mask[order[i] / 8] |= uint8_t(1 << order[i] % 8);
}

inline sluice_status encode(const Keys& keys, const sluice::Stats& stats, const sluice_block* block, const float* x,
                            void* scratch, void* dst, size_t* bytes) {
  const uint32_t d = keys.head_dim(), n = block->rows;
  auto& work = *static_cast<AffineScratch*>(scratch);
  float* const clean = reinterpret_cast<float*>(&work + 1);
  float* const part = clean + size_t(n) * d;
  auto* const start = static_cast<uint8_t*>(dst);
  const uint64_t changed = sluice::copy_finite(size_t(n) * d, x, clean);
  if (changed > 0) stats.add("non-finite values per block", double(changed), 1);
  *bytes = keys.block_bytes(n);
  std::memset(start, 0, *bytes);
  if (keys.mask_bytes() > 0) choose_wide(keys, n, clean, work, start);
  const Order order = read_order(keys, start);
  const auto code = [&](const Affine& a, const uint8_t* channel, const sluice::AffineOut& out) {
    for (uint32_t r = 0; r < n; r++) gather(a.head_dim, channel, clean + size_t(r) * d, part + size_t(r) * a.head_dim);
    encode_rows(a, n, part, out, work);
  };
  if (keys.wide.head_dim > 0) code(keys.wide, order.channel, wide_at<uint16_t>(keys, n, start));
  code(keys.narrow, order.channel + keys.wide.head_dim, narrow_at<uint16_t>(keys, n, start));
  return SLUICE_OK;
}

inline sluice_status decode(const Keys& keys, const sluice_block* block, const void* src, uint32_t first,
                            uint32_t count, float* x) {
  const auto* const start = static_cast<const uint8_t*>(src);
  const Order order = read_order(keys, start);
  const AffineView wide = wide_at<const uint16_t>(keys, block->rows, start);
  const AffineView narrow = narrow_at<const uint16_t>(keys, block->rows, start);
  float row[kMostChannels];
  for (uint32_t r = first; r < first + count; r++, x += keys.head_dim()) {
    if (keys.wide.head_dim > 0) decode_rows(keys.wide, wide, r, 1, row);
    decode_rows(keys.narrow, narrow, r, 1, row + keys.wide.head_dim);
    for (uint32_t k = 0; k < keys.head_dim(); k++) x[order.channel[k]] = row[k];
  }
  return SLUICE_OK;
}

inline void account(const Keys& keys, const sluice_block* block, sluice_account* account) {
  *account = {};
  account->codes = block->rows * keys.row_bytes();
  account->scales = keys.pair_bytes();
  account->index = keys.mask_bytes();
  account->padding = keys.block_bytes(block->rows) - account->codes - account->scales - account->index;
}

// Pairs and mask belong to whatever rows are left.
inline sluice_status retain(const Keys& keys, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                            size_t* bytes) {
  *bytes = 0;
  if (n == 0) return SLUICE_OK;
  auto* const start = static_cast<uint8_t*>(src);
  const sluice::AffineOut wide = wide_at<uint16_t>(keys, block->rows, start);
  const sluice::AffineOut narrow = narrow_at<uint16_t>(keys, block->rows, start);
  if (keys.wide.head_dim > 0) retain_rows(keys.wide, wide, keep, n);
  retain_rows(keys.narrow, narrow, keep, n);
  std::memmove(wide.codes + n * keys.wide.row_bytes(), narrow.codes, n * keys.narrow.row_bytes());
  std::memmove(start + keys.codes_at(n), wide.codes, n * keys.row_bytes());
  const size_t end = keys.mask_bytes() + keys.pair_bytes();
  std::memset(start + end, 0, keys.codes_at(n) - end);
  *bytes = keys.block_bytes(n);
  return SLUICE_OK;
}

// Working memory of dot().
struct DotWork {
  AffineWork wide, narrow;
  float q[SLUICE_TILE * kMostChannels];
};

inline sluice_status dot(const Keys& keys, const sluice_tile* tile, const float* q, float* scores) {
  auto& work = *static_cast<DotWork*>(tile->scratch);
  const uint32_t d = keys.head_dim();
  for (uint32_t s = 0; s < tile->count; s++) {
    const sluice_span& span = tile->spans[s];
    const auto* const start = static_cast<const uint8_t*>(span.src);
    const Order order = read_order(keys, start);
    const AffineView wide = wide_at<const uint16_t>(keys, span.rows, start);
    const AffineView narrow = narrow_at<const uint16_t>(keys, span.rows, start);
    const auto dot_part = [&](const Affine& a, const AffineView& view, const sluice::Chunk& chunk,
                              const uint8_t* channel, AffineWork& part) {
      if (chunk.opens_group)
        for (uint32_t i = 0; i < tile->queries; i++)
          gather(a.head_dim, channel, q + size_t(i) * d, work.q + size_t(i) * a.head_dim);
      dot_chunk(a, view, chunk, tile->queries, work.q, part);
    };
    for (sluice::Chunk chunk; next_chunk(keys.narrow, narrow, chunk);) {  // of the wide channels too
      dot_part(keys.narrow, narrow, chunk, order.channel + keys.wide.head_dim, work.narrow);
      if (keys.wide.head_dim > 0) {
        dot_part(keys.wide, wide, chunk, order.channel, work.wide);
        for (uint32_t i = 0; i < tile->queries; i++)
          for (uint32_t r = 0; r < chunk.count; r++) work.narrow.sums[i][r] += work.wide.sums[i][r];
      }
      store_scores(*tile, span, chunk, work.narrow, scores);
    }
  }
  return SLUICE_OK;
}

}  // namespace uneven
