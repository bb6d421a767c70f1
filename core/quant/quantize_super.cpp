// Super-blocks of 256: sub-blocks whose scales (and offsets) are small integers in units of one or two F16 numbers.
// Sub-blocks are fitted alone, their scales rounded to a common unit, and then units, integers and codes are
// improved in turn, each optimal for the others, while the squared error of the whole falls.
#include <cassert>
#include <cstring>

#include "core/quant/fit.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice::quant {
namespace {

constexpr size_t kBlock = 256;
constexpr size_t kMostParts = 16;

void store_half(uint8_t* to, float value) {
  const uint16_t half = sluice_to_half(value);
  to[0] = uint8_t(half & 255);
  to[1] = uint8_t(half >> 8);
}

// A format: `parts` sub-blocks, x ~ (d scale) q + (unit_m offset).
struct Format {
  size_t parts;
  Range codes;
  Range scales;   // the integers that scales are
  float offsets;  // the largest integer of an offset; 0: the format has none
  int reach;      // how far from the rounded integers better ones are looked for
  size_t part_size() const { return kBlock / parts; }
};

// What is to be stored, in real numbers: integers are kept as floats.
struct Solution {
  float d = 0, m = 0;  // as stored in F16; m is negative for formats that subtract
  std::array<float, kMostParts> scale{}, offset{};
  float error = 0;
};

float sum_of(const float* x, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

// The best integers for each part under the units of `s`, near those it has. Fills s.error and returns the units that
// least squares would choose for the codes this leads to.
struct Units {
  float d, m;
};
Units choose_integers(const float* x, const Format& format, Solution& s) {
  const size_t n = format.part_size();
  // Normal equations of x ~ d A + m B with A = scale q and B = offset.
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  s.error = 0;
  for (size_t p = 0; p < format.parts; ++p) {
    const float* part = x + n * p;
    const float scale_around = s.scale[p], offset_around = s.offset[p];
    Moments best;
    bool found = false;
    for (int i = -format.reach; i <= format.reach; ++i) {
      const float scale = scale_around + float(i);
      if (scale < format.scales.lowest || scale > format.scales.highest) continue;
      const int offset_reach = format.offsets > 0 ? format.reach : 0;
      for (int j = -offset_reach; j <= offset_reach; ++j) {
        const float offset = offset_around + float(j);
        if (offset < 0 || offset > format.offsets) continue;
        const Moments now = measure(part, n, s.d * scale, s.m * offset, format.codes);
        if (found && !(now.error < best.error)) continue;
        found = true;
        best = now;
        s.scale[p] = scale;
        s.offset[p] = offset;
      }
    }
    const double scale = s.scale[p], offset = s.offset[p];
    s.error += best.error;
    aa += scale * scale * best.qq;
    ab += scale * offset * best.q;
    bb += offset * offset * double(n);
    xa += scale * best.xq;
    if (offset != 0) xb += offset * sum_of(part, n);
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb)
    return {float((xa * bb - xb * ab) / determinant), float((xb * aa - xa * ab) / determinant)};
  return {aa > 0 ? float(xa / aa) : s.d, s.m};
}

// Turns integers and units towards each other until nothing is gained.
Solution improve(const float* x, const Format& format, Solution s) {
  Units units = choose_integers(x, format, s);
  for (int round = 0; round < 6 && s.error > 0; ++round) {
    Solution next = s;
    next.d = round_to_half(units.d);
    if (format.offsets > 0) next.m = round_to_half(units.m);
    if (next.d == 0) break;
    const Units then = choose_integers(x, format, next);
    if (!(next.error < s.error)) break;
    const bool settled = next.error > 0.9995f * s.error;
    s = next;
    if (settled) break;
    units = then;
  }
  return s;
}

// From the parts' own fits to a common unit: the largest scale becomes `top` units.
Solution with_units(const Format& format, const std::array<Grid, kMostParts>& grids, float top) {
  float scale = 0, offset = 0;
  for (size_t p = 0; p < format.parts; ++p) {
    if (std::fabs(grids[p].d) > std::fabs(scale)) scale = grids[p].d;
    if (std::fabs(grids[p].m) > std::fabs(offset)) offset = grids[p].m;
  }
  Solution s;
  s.d = round_to_half(scale / top);
  if (format.offsets > 0) s.m = round_to_half(offset / format.offsets);
  for (size_t p = 0; p < format.parts; ++p) {
    if (s.d != 0)
      s.scale[p] = std::clamp(std::nearbyint(grids[p].d / s.d), format.scales.lowest, format.scales.highest);
    if (s.m != 0) s.offset[p] = std::clamp(std::nearbyint(grids[p].m / s.m), 0.0f, format.offsets);
  }
  return s;
}

Solution solve(const float* x, const Format& format, const std::array<Grid, kMostParts>& grids,
               std::initializer_list<float> tops) {
  Solution best;
  bool found = false;
  for (const float top : tops) {
    const Solution s = improve(x, format, with_units(format, grids, top));
    if (!found || s.error < best.error) best = s;
    found = true;
  }
  return best;
}

Solution solve_symmetric(const float* x, const Format& format, std::initializer_list<float> starts,
                         std::initializer_list<float> tops) {
  std::array<Grid, kMostParts> grids{};
  const size_t n = format.part_size();
  for (size_t p = 0; p < format.parts; ++p) grids[p] = fit_symmetric<Scale::kExact>(x + n * p, n, format.codes, starts);
  return solve(x, format, grids, tops);
}

Solution solve_affine(const float* x, const Format& format, std::initializer_list<float> starts,
                      std::initializer_list<float> tops) {
  const size_t n = format.part_size();
  // All offsets of a super-block have one sign. Weights about 0 need negative ones; numbers that all lie above 0
  // are served by a negative unit.
  float below = 0, above = 0;
  for (size_t p = 0; p < format.parts; ++p) {
    const float least = *std::min_element(x + n * p, x + n * (p + 1));
    (least < 0 ? below : above) += std::fabs(least);
  }
  const Offset offset = above > below ? Offset::kNotNegative : Offset::kNotPositive;
  std::array<Grid, kMostParts> grids{};
  for (size_t p = 0; p < format.parts; ++p) {
    grids[p] = fit_affine<Scale::kExact>(x + n * p, n, format.codes.highest, offset, starts);
  }
  return solve(x, format, grids, tops);
}

// codes[256], from 0.
void encode_all(const float* x, const Format& format, const Solution& s, uint8_t* codes) {
  const size_t n = format.part_size();
  for (size_t p = 0; p < format.parts; ++p) {
    encode(x + n * p, n, s.d * s.scale[p], s.m * s.offset[p], format.codes, codes + n * p);
  }
}

// ---- packing ----------------------------------------------------------------------------------------------------

// Two bits of each code, from bit `from` on, as two-bit codes are arranged: 64 bytes.
void pack_two_bits(const uint8_t* codes, int from, uint8_t* to) {
  std::memset(to, 0, 64);
  for (size_t e = 0; e < kBlock; ++e) {
    uint8_t& byte = to[e / 128 * 32 + e % 32];
    byte = uint8_t(byte | (codes[e] >> from & 3) << 2 * (e % 128 / 32));
  }
}

// Bit `from` of each code: bit e / 32 of byte e % 32.
void pack_one_bit(const uint8_t* codes, int from, uint8_t* to) {
  std::memset(to, 0, 32);
  for (size_t e = 0; e < kBlock; ++e) to[e % 32] = uint8_t(to[e % 32] | (codes[e] >> from & 1) << (e / 32));
}

// The 6-bit scales and mins of Q4_K and Q5_K.
void pack_scales(const Solution& s, uint8_t* to) {
  std::memset(to, 0, 12);
  for (size_t p = 0; p < 8; ++p) {
    const uint32_t scale = uint32_t(s.scale[p]), min = uint32_t(s.offset[p]);
    if (p < 4) {
      to[p] = uint8_t(to[p] | scale);
      to[p + 4] = uint8_t(to[p + 4] | min);
    } else {
      to[p + 4] = uint8_t((scale & 15) | (min & 15) << 4);
      to[p - 4] = uint8_t(to[p - 4] | (scale >> 4) << 6);
      to[p] = uint8_t(to[p] | (min >> 4) << 6);
    }
  }
}

// Low nibbles of the codes of Q4_K and Q5_K: sub-blocks of 32 in pairs.
void pack_pairs(const uint8_t* codes, uint8_t* to) {
  for (size_t i = 0; i < kBlock / 2; ++i) {
    const uint8_t* pair = codes + i / 32 * 64 + i % 32;
    to[i] = uint8_t((pair[0] & 15) | (pair[32] & 15) << 4);
  }
}

// ---- formats ----------------------------------------------------------------------------------------------------

void encode_q2_k(const float* x, sluice_q2_k& b) {
  const Format format{16, {0, 3}, {0, 15}, 15, 1};
  const Solution s = solve_affine(x, format, {3, 2.6f, 3.4f, 3.8f, 4.3f, 2}, {15});
  uint8_t codes[kBlock];
  encode_all(x, format, s, codes);
  for (size_t p = 0; p < 16; ++p) b.scales[p] = uint8_t(uint32_t(s.scale[p]) | uint32_t(s.offset[p]) << 4);
  pack_two_bits(codes, 0, b.codes);
  store_half(b.d, s.d);
  store_half(b.dmin, 0 - s.m);
}

void encode_q3_k(const float* x, sluice_q3_k& b) {
  const Format format{16, {-4, 3}, {-32, 31}, 0, 2};
  const Solution s =
      solve_symmetric(x, format, {-4, -3.4f, -3.7f, -4.3f, -4.7f, 2.6f, 3, 3.4f, 3.8f, 4.3f}, {-32, -29});
  uint8_t codes[kBlock];
  encode_all(x, format, s, codes);
  pack_two_bits(codes, 0, b.codes);
  pack_one_bit(codes, 2, b.high);
  std::memset(b.scales, 0, sizeof b.scales);
  for (size_t p = 0; p < 16; ++p) {
    const uint32_t scale = uint32_t(int32_t(s.scale[p]) + 32);
    b.scales[p % 8] = uint8_t(b.scales[p % 8] | (scale & 15) << (p < 8 ? 0 : 4));
    b.scales[8 + p % 4] = uint8_t(b.scales[8 + p % 4] | (scale >> 4) << 2 * (p / 4));
  }
  store_half(b.d, s.d);
}

void encode_q4_k(const float* x, sluice_q4_k& b) {
  const Format format{8, {0, 15}, {0, 63}, 63, 1};
  const Solution s = solve_affine(x, format, {15, 14, 15.5f, 16, 16.6f, 17.3f}, {63});
  uint8_t codes[kBlock];
  encode_all(x, format, s, codes);
  store_half(b.d, s.d);
  store_half(b.dmin, 0 - s.m);
  pack_scales(s, b.scales);
  pack_pairs(codes, b.codes);
}

void encode_q5_k(const float* x, sluice_q5_k& b) {
  const Format format{8, {0, 31}, {0, 63}, 63, 1};
  const Solution s = solve_affine(x, format, {31, 30, 31.5f, 32, 32.7f}, {63});
  uint8_t codes[kBlock];
  encode_all(x, format, s, codes);
  store_half(b.d, s.d);
  store_half(b.dmin, 0 - s.m);
  pack_scales(s, b.scales);
  pack_one_bit(codes, 4, b.high);
  pack_pairs(codes, b.codes);
}

void encode_q6_k(const float* x, sluice_q6_k& b) {
  const Format format{16, {-32, 31}, {-128, 127}, 0, 1};
  const Solution s = solve_symmetric(x, format, {-32, -31.4f, -32.5f, 30.6f, 31, 31.5f}, {-128});
  uint8_t codes[kBlock];
  encode_all(x, format, s, codes);
  for (size_t half = 0; half < 2; ++half) {
    for (size_t i = 0; i < 64; ++i) {
      const uint8_t* c = codes + 128 * half + i;
      b.low[64 * half + i] = uint8_t((c[0] & 15) | (c[64] & 15) << 4);
    }
  }
  pack_two_bits(codes, 4, b.high);
  for (size_t p = 0; p < 16; ++p) b.scales[p] = int8_t(s.scale[p]);
  store_half(b.d, s.d);
}

template <class Block, class F>
void each_block(const float* x, size_t n, void* dst, F&& encode_block) {
  for (size_t i = 0; i < n / kBlock; ++i) encode_block(x + kBlock * i, static_cast<Block*>(dst)[i]);
}

}  // namespace

void quantize_super_blocks(uint32_t type, const float* x, size_t n, void* dst) {
  switch (type) {
    case SLUICE_GGUF_Q2_K:
      return each_block<sluice_q2_k>(x, n, dst, encode_q2_k);
    case SLUICE_GGUF_Q3_K:
      return each_block<sluice_q3_k>(x, n, dst, encode_q3_k);
    case SLUICE_GGUF_Q4_K:
      return each_block<sluice_q4_k>(x, n, dst, encode_q4_k);
    case SLUICE_GGUF_Q5_K:
      return each_block<sluice_q5_k>(x, n, dst, encode_q5_k);
    case SLUICE_GGUF_Q6_K:
      return each_block<sluice_q6_k>(x, n, dst, encode_q6_k);
    default:
      assert(!"a type of 256-blocks");
  }
}

}  // namespace sluice::quant
