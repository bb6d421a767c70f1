// sluice/affine.hpp - rows as packed codes with (scale, zero) pairs: the part of a block that uniform, group and gear
// have in common. x is code * scale + zero. Encoding, decoding, dropping rows and attention on the codes; what
// precedes or follows in a block, and the plugin itself, is the codec's business. Optional, for codecs in C++.
//
// Who shares a pair:
//   by_channel  a channel's `group` rows. Pairs: [groups][2][head_dim] half floats. Scales are never negative, so the
//               sign bits of a group's scales are free: bits 1 .. 12 hold its rows - 1, and in the first group bits
//               13 .. 24 the number of groups. Thus a block that lost rows needs no more bytes than before, and
//               the first 64 bytes tell where the pairs end. The sign of the very first scale stays 0.
//   by_row      a row's `group` channels. Pairs: [head_dim / group][2][rows]
//   one         all rows and channels. Pairs: [2]
#ifndef SLUICE_AFFINE_HPP
#define SLUICE_AFFINE_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels.h"
#include "policy.h"

namespace sluice {

// The most channels of a head, the lengths that packed codes come in, and the most groups of a row.
constexpr uint32_t kMostChannels = 256, kCodeGroup = 32, kMostGroups = kMostChannels / kCodeGroup;

enum class Pairs { by_channel, by_row, one };

struct Affine {
  const sluice_kernels* kernels = nullptr;
  Pairs pairs = Pairs::by_row;
  uint32_t head_dim = 0, bits = 4;
  uint32_t group = 0;  // by_channel: rows, at most 4096; by_row: channels, a multiple of 32

  uint32_t levels() const { return (1u << bits) - 1; }
  size_t row_bytes() const { return sluice_packed_bytes(bits, head_dim); }
  uint32_t groups_of_row() const { return pairs == Pairs::by_row ? head_dim / group : 1; }
  uint32_t groups(uint32_t rows) const { return (rows + group - 1) / group; }
  // Half floats of a block that has not lost rows.
  size_t pair_halves(uint32_t rows) const {
    if (pairs == Pairs::by_channel) return size_t(2) * head_dim * groups(rows);
    return pairs == Pairs::by_row ? size_t(2) * rows * groups_of_row() : 2;
  }
};

// Where a block keeps them; `groups` counts for by_channel only.
template <class Half, class Byte>
struct AffineAt {
  Half* pairs;
  Byte* codes;
  uint32_t rows, groups;
};
using AffineView = AffineAt<const uint16_t, const uint8_t>;
using AffineOut = AffineAt<uint16_t, uint8_t>;

// Working memory of dot() and accumulate(), part of a codec's scratch.
struct alignas(64) AffineWork {
  // Results. dot: of a chunk of rows; accumulate: of the channels.
  float sums[SLUICE_TILE][kMostChannels];
  float weights[SLUICE_TILE][SLUICE_CHUNK];  // dot: what a group of channels adds
  float scale[kMostChannels], zero[kMostChannels];
  // by_row with dot: per group of channels. rounding: dot()'s bias, see fix().
  float steps[kMostGroups][SLUICE_TILE], bias[kMostGroups][SLUICE_TILE], rounding[kMostGroups][SLUICE_TILE];
  union {
    int16_t whole[SLUICE_TILE * kMostChannels];     // dot: queries
    int8_t digits[SLUICE_TILE * 3 * SLUICE_CHUNK];  // accumulate: weights
  };
};

// Working memory of encoding.
struct alignas(64) AffineScratch {
  float low[kMostChannels], high[kMostChannels], scale[kMostChannels], zero[kMostChannels];
  uint16_t halves[kMostChannels];
  uint8_t codes[kMostChannels];
};

// ---- numbers in the signs of half floats ---------------------------------------------------------

inline uint32_t read_signs(const uint16_t* halves, uint32_t first, uint32_t count) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < count; i++) value |= uint32_t(halves[first + i] >> 15) << i;
  return value;
}
inline void write_signs(uint16_t* halves, uint32_t first, uint32_t count, uint32_t value) {
  for (uint32_t i = 0; i < count; i++)
    halves[first + i] = uint16_t((halves[first + i] & 0x7FFF) | (value >> i & 1) << 15);
}
inline uint32_t group_rows(const uint16_t* scales) { return read_signs(scales, 1, 12) + 1; }
inline uint32_t group_count(const uint16_t* scales) { return read_signs(scales, 13, 12); }

inline void load_scales(const Affine& a, size_t n, const uint16_t* halves, float* scale) {
  a.kernels->from_half(n, halves, scale);
  for (size_t i = 0; i < n; i++) scale[i] = std::fabs(scale[i]);
}

// ---- encoding ------------------------------------------------------------------------------------

// Copies what is finite in half precision, makes NaN 0 and what is too large +-65504; returns how many were changed.
inline uint64_t copy_finite(size_t n, const float* x, float* y) {
  uint64_t changed = 0;
  for (size_t i = 0; i < n; i++) {
    const bool fits = std::fabs(x[i]) <= 65504.0f;
    changed += !fits;
    y[i] = fits ? x[i] : std::isnan(x[i]) ? 0.0f : std::copysign(65504.0f, x[i]);
  }
  return changed;
}

// Rounded pairs of n ranges, as the block stores them and as floats.
inline void make_pairs(const Affine& a, size_t n, AffineScratch& s, uint16_t* scale, uint16_t* zero) {
  for (size_t i = 0; i < n; i++) s.scale[i] = (s.high[i] - s.low[i]) / float(a.levels());
  a.kernels->to_half(n, s.scale, scale);
  a.kernels->to_half(n, s.low, zero);
  a.kernels->from_half(n, scale, s.scale);
  a.kernels->from_half(n, zero, s.zero);
}

inline void encode_row(const Affine& a, const float* x, AffineScratch& s, uint8_t* packed) {
  a.kernels->quantize(a.head_dim, x, s.scale, s.zero, a.levels(), s.codes);
  a.kernels->pack(a.bits, a.head_dim, s.codes, packed);
}

// x: finite float [rows][head_dim]; rows >= 1.
inline void encode_rows(const Affine& a, uint32_t rows, const float* x, const AffineOut& out, AffineScratch& s) {
  const uint32_t d = a.head_dim;
  const size_t row_bytes = a.row_bytes();
  if (a.pairs == Pairs::by_channel) {
    for (uint32_t g = 0, first = 0; first < rows; g++, first += a.group) {
      const uint32_t count = std::min(a.group, rows - first);
      uint16_t* scale = out.pairs + size_t(2) * d * g;
      a.kernels->range(count, d, x + size_t(first) * d, s.low, s.high);
      make_pairs(a, d, s, scale, scale + d);
      write_signs(scale, 1, 12, count - 1);
      for (uint32_t r = first; r < first + count; r++) encode_row(a, x + size_t(r) * d, s, out.codes + r * row_bytes);
    }
    write_signs(out.pairs, 13, 12, a.groups(rows));
    return;
  }
  // Ranges of a row's groups, or of all rows; then every channel's pair is written out for the row.
  const uint32_t groups = a.groups_of_row(), width = d / groups;
  auto spread = [&] {
    for (uint32_t t = groups; t-- > 0;) {
      std::fill_n(s.scale + t * width, width, float(s.scale[t]));
      std::fill_n(s.zero + t * width, width, float(s.zero[t]));
    }
  };
  if (a.pairs == Pairs::one) {
    a.kernels->range(rows, d, x, s.low, s.high);
    s.low[0] = *std::min_element(s.low, s.low + d);
    s.high[0] = *std::max_element(s.high, s.high + d);
    make_pairs(a, 1, s, out.pairs, out.pairs + 1);
    spread();
  }
  for (uint32_t r = 0; r < rows; r++, x += d) {
    if (a.pairs == Pairs::by_row) {
      for (uint32_t t = 0; t < groups; t++) {
        float low[8], high[8];
        a.kernels->range(width / 8, 8, x + t * width, low, high);
        s.low[t] = *std::min_element(low, low + 8);
        s.high[t] = *std::max_element(high, high + 8);
      }
      make_pairs(a, groups, s, s.halves, s.halves + groups);
      for (uint32_t t = 0; t < groups; t++) {
        out.pairs[(size_t(2) * t) * rows + r] = s.halves[t];
        out.pairs[(size_t(2) * t + 1) * rows + r] = s.halves[groups + t];
      }
      spread();
    }
    encode_row(a, x, s, out.codes + r * row_bytes);
  }
}

// ---- decoding ------------------------------------------------------------------------------------

// The pairs of row r for every channel; `loaded` says which by_channel group stands in scale and zero.
struct RowPairs {
  float scale[kMostChannels], zero[kMostChannels];
  uint32_t group = 0, end = 0;  // rows below end belong to groups up to this one
  bool loaded = false;
};
inline void load_pairs(const Affine& a, const AffineView& v, uint32_t r, RowPairs& p) {
  const uint32_t d = a.head_dim;
  if (a.pairs == Pairs::by_channel) {
    if (p.loaded && r < p.end) return;
    if (p.end == 0) p.end = group_rows(v.pairs);
    while (r >= p.end) p.end += group_rows(v.pairs + size_t(2) * d * ++p.group);
    const uint16_t* scale = v.pairs + size_t(2) * d * p.group;
    load_scales(a, d, scale, p.scale);
    a.kernels->from_half(d, scale + d, p.zero);
    p.loaded = true;
    return;
  }
  if (a.pairs == Pairs::one && p.loaded) return;
  const uint32_t groups = a.groups_of_row(), width = d / groups;
  for (uint32_t t = 0; t < groups; t++) {
    const uint16_t* scale = a.pairs == Pairs::one ? v.pairs : v.pairs + size_t(2) * t * v.rows + r;
    const uint16_t* zero = a.pairs == Pairs::one ? v.pairs + 1 : scale + v.rows;
    std::fill_n(p.scale + t * width, width, sluice_from_half(*scale));
    std::fill_n(p.zero + t * width, width, sluice_from_half(*zero));
  }
  p.loaded = true;
}

// x: float [count][head_dim]
inline void decode_rows(const Affine& a, const AffineView& v, uint32_t first, uint32_t count, float* x) {
  RowPairs pairs;
  uint8_t codes[kMostChannels];
  for (uint32_t r = first; r < first + count; r++, x += a.head_dim) {
    load_pairs(a, v, r, pairs);
    a.kernels->unpack(a.bits, a.head_dim, v.codes + r * a.row_bytes(), codes);
    a.kernels->dequantize(a.head_dim, codes, pairs.scale, pairs.zero, x);
  }
}

// ---- dropping rows -------------------------------------------------------------------------------

// Packs the rows keep[0 .. n) and their pairs towards the front of where both stand now; the codec moves the codes
// to their new place afterwards. Returns the half floats that the pairs take.
inline size_t retain_rows(const Affine& a, const AffineOut& v, const uint32_t* keep, uint32_t n) {
  const size_t row_bytes = a.row_bytes();
  for (uint32_t i = 0; i < n; i++)
    if (keep[i] != i) std::memmove(v.codes + i * row_bytes, v.codes + keep[i] * row_bytes, row_bytes);
  if (a.pairs == Pairs::one) return 2;
  if (a.pairs == Pairs::by_row) {
    const uint32_t arrays = 2 * (a.head_dim / a.group);
    for (uint32_t k = 0; k < arrays; k++)
      for (uint32_t i = 0; i < n; i++) v.pairs[size_t(k) * n + i] = v.pairs[size_t(k) * v.rows + keep[i]];
    return size_t(arrays) * n;
  }
  const size_t halves = size_t(2) * a.head_dim;
  uint32_t left = 0, kept = 0, end = 0;
  for (uint32_t g = 0; g < v.groups; g++) {
    uint16_t* from = v.pairs + halves * g;
    end += group_rows(from);
    const uint32_t before = kept;
    while (kept < n && keep[kept] < end) kept++;
    if (kept == before) continue;
    uint16_t* to = v.pairs + halves * left++;
    if (to != from) std::memmove(to, from, halves * sizeof(uint16_t));
    write_signs(to, 1, 12, kept - before - 1);
    write_signs(to, 13, 12, 0);
  }
  write_signs(v.pairs, 13, 12, left);
  return halves * left;
}

// ---- attention -----------------------------------------------------------------------------------

// The rows of a block in chunks of at most SLUICE_CHUNK, none of which crosses a by_channel group.
struct Chunk {
  uint32_t first = 0, count = 0;
  uint32_t group = 0, group_end = 0;  // by_channel: the group and the row after its last
  bool opens_group = false;           // by_channel: the chunk is the first of its group
};
inline bool next_chunk(const Affine& a, const AffineView& v, Chunk& c) {
  c.first += c.count;
  if (c.first == v.rows) return false;
  uint32_t end = v.rows;
  if (a.pairs == Pairs::by_channel) {
    c.opens_group = c.first == c.group_end;
    if (c.opens_group) {
      if (c.first > 0) c.group++;
      c.group_end += group_rows(v.pairs + size_t(2) * a.head_dim * c.group);
    }
    end = c.group_end;
  }
  c.count = std::min(SLUICE_CHUNK, end - c.first);
  return true;
}

// A query, times a scale if there is one, as integers; returns the step. *rounding is what makes codes count from their
// middle.
inline float fix_query(const Affine& a, uint32_t n, const float* q, const float* scale, int16_t* whole,
                       float* rounding) {
  const float step = a.kernels->fix(n, q, scale, whole, rounding);
  *rounding *= 0.5f * float(a.levels());
  return step;
}

// Before the first span: queries that no scale has to be folded into. q: float [queries][head_dim]
inline void begin_dot(const Affine& a, uint32_t queries, const float* q, AffineWork& w) {
  if (a.pairs == Pairs::by_channel) return;
  const uint32_t groups = a.groups_of_row(), width = a.head_dim / groups;
  std::fill_n(w.scale, width, 1.0f);
  int16_t* whole = w.whole;
  for (uint32_t t = 0; t < groups; t++)
    for (uint32_t i = 0; i < queries; i++, whole += width) {
      const float* part = q + size_t(i) * a.head_dim + t * width;
      w.steps[t][i] = fix_query(a, width, part, nullptr, whole, &w.rounding[t][i]);
      w.bias[t][i] = a.kernels->inner(width, part, w.scale);
    }
}

// scale and zero of the rows of a chunk; t: the group of channels.
inline void load_row_pairs(const Affine& a, const AffineView& v, const Chunk& c, uint32_t t, AffineWork& w) {
  if (a.pairs == Pairs::by_row) {
    const uint16_t* scale = v.pairs + size_t(2) * t * v.rows + c.first;
    a.kernels->from_half(c.count, scale, w.scale);
    a.kernels->from_half(c.count, scale + v.rows, w.zero);
  } else {
    std::fill_n(w.scale, c.count, sluice_from_half(v.pairs[0]));
    std::fill_n(w.zero, c.count, sluice_from_half(v.pairs[1]));
  }
}

// w.sums[i][r] = q_i . row c.first + r, as far as codes go.
inline void dot_chunk(const Affine& a, const AffineView& v, const Chunk& c, uint32_t queries, const float* q,
                      AffineWork& w) {
  const uint32_t d = a.head_dim;
  const uint8_t* packed = v.codes + c.first * a.row_bytes();
  if (a.pairs == Pairs::by_channel) {
    if (c.opens_group) {
      const uint16_t* scale = v.pairs + size_t(2) * d * c.group;
      load_scales(a, d, scale, w.scale);
      a.kernels->from_half(d, scale + d, w.zero);
      for (uint32_t i = 0; i < queries; i++, q += d) {
        float rounding;
        w.steps[0][i] = fix_query(a, d, q, w.scale, w.whole + size_t(i) * d, &rounding);
        w.bias[0][i] = a.kernels->inner(d, q, w.zero) + rounding;
      }
    }
    const sluice_codes codes = {packed, a.row_bytes(), a.bits, c.count, d};
    a.kernels->dot(&codes, queries, w.whole, w.steps[0], w.bias[0], kMostChannels, w.sums[0]);
    return;
  }
  const uint32_t groups = a.groups_of_row(), width = d / groups;
  for (uint32_t i = 0; i < queries; i++) std::fill_n(w.sums[i], c.count, 0.0f);
  for (uint32_t t = 0; t < groups; t++) {
    load_row_pairs(a, v, c, t, w);
    const sluice_codes codes = {packed + sluice_packed_bytes(a.bits, t * width), a.row_bytes(), a.bits, c.count, width};
    a.kernels->dot(&codes, queries, w.whole + size_t(t) * queries * width, w.steps[t], w.rounding[t], SLUICE_CHUNK,
                   w.weights[0]);
    for (uint32_t i = 0; i < queries; i++)
      a.kernels->settle(c.count, w.weights[i], w.scale, w.bias[t][i], w.zero, w.sums[i]);
  }
}

// w.weights[i][r] = the weight of row c.first + r, 0 after the last row.
inline void load_weights(const sluice_tile& tile, const sluice_span& span, const Chunk& c, const float* weights,
                         AffineWork& w) {
  for (uint32_t i = 0; i < tile.queries; i++) {
    const float* from = weights + i * tile.stride + span.slot_base;
    if (span.slots)
      for (uint32_t r = 0; r < c.count; r++) w.weights[i][r] = from[span.slots[c.first + r]];
    else
      std::copy_n(from + c.first, c.count, w.weights[i]);
    std::fill_n(w.weights[i] + c.count, SLUICE_CHUNK - c.count, 0.0f);
  }
}

// scores[i * stride + column(c.first + r)] = w.sums[i][r]
inline void store_scores(const sluice_tile& tile, const sluice_span& span, const Chunk& c, const AffineWork& w,
                         float* scores) {
  for (uint32_t i = 0; i < tile.queries; i++) {
    float* to = scores + i * tile.stride + span.slot_base;
    if (span.slots)
      for (uint32_t r = 0; r < c.count; r++) to[span.slots[c.first + r]] = w.sums[i][r];
    else
      std::copy_n(w.sums[i], c.count, to + c.first);
  }
}

// out[i] += sum of w.weights[i][r] * row c.first + r, as far as codes go. out: float [queries][head_dim]
inline void accumulate_chunk(const Affine& a, const AffineView& v, const Chunk& c, uint32_t queries, AffineWork& w,
                             float* out) {
  const uint32_t d = a.head_dim, groups = a.groups_of_row(), width = d / groups;
  const bool by_channel = a.pairs == Pairs::by_channel;
  for (uint32_t t = 0; t < groups; t++) {
    if (by_channel)
      std::fill_n(w.zero, c.count, 1.0f);
    else
      load_row_pairs(a, v, c, t, w);
    std::fill(w.scale + c.count, w.scale + SLUICE_CHUNK, 0.0f);
    for (uint32_t i = 0; i < queries; i++) {
      w.steps[0][i] = a.kernels->split(SLUICE_CHUNK, w.weights[i], by_channel ? nullptr : w.scale,
                                       w.digits + size_t(i) * 3 * SLUICE_CHUNK);
      w.bias[0][i] = a.kernels->inner(c.count, w.weights[i], w.zero);
    }
    const uint8_t* packed = v.codes + c.first * a.row_bytes() + sluice_packed_bytes(a.bits, t * width);
    const sluice_codes codes = {packed, a.row_bytes(), a.bits, c.count, width};
    a.kernels->mix(&codes, queries, w.digits, w.steps[0], kMostChannels, w.sums[0]);
    if (by_channel) {
      load_scales(a, d, v.pairs + size_t(2) * d * c.group, w.scale);
      a.kernels->from_half(d, v.pairs + size_t(2) * d * c.group + d, w.zero);
    } else {
      std::fill_n(w.scale, width, 1.0f);
      std::fill_n(w.zero, width, 1.0f);
    }
    for (uint32_t i = 0; i < queries; i++)
      a.kernels->settle(width, w.sums[i], w.scale, w.bias[0][i], w.zero, out + size_t(i) * d + t * width);
  }
}

}  // namespace sluice
#endif
