// Blocks of 32 with one F16 scale (Q4_0, Q5_0, Q8_0, IQ4_NL) or a scale and an offset (Q4_1, Q5_1).
#include <cassert>
#include <cstring>

#include "core/quant/fit.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice::quant {
namespace {

constexpr size_t kBlock = 32;

void store_half(uint8_t* to, float value) {
  const uint16_t half = sluice_to_half(value);
  to[0] = uint8_t(half & 255);
  to[1] = uint8_t(half >> 8);
}

void pack_nibbles(const uint8_t* codes, uint8_t* to) {
  for (size_t i = 0; i < kBlock / 2; ++i) to[i] = uint8_t((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

void pack_fifth_bits(const uint8_t* codes, uint8_t* to) {
  for (size_t i = 0; i < kBlock; ++i) {
    if (i % 8 == 0) to[i / 8] = 0;
    to[i / 8] = uint8_t(to[i / 8] | (codes[i] >> 4) << (i % 8));
  }
}

void encode_q4_0(const float* x, sluice_q4_0& b) {
  // The code range is lopsided: the extreme number fits on -8 or, turned over, near 7.
  const Range range{-8, 7};
  const Grid grid =
      fit_symmetric<Scale::kHalf>(x, kBlock, range, {-8, -7.2f, -7.6f, -8.4f, -8.8f, -9.3f, 6.6f, 7, 7.4f, 7.8f, 8.3f});
  uint8_t codes[kBlock];
  encode(x, kBlock, grid.d, 0, range, codes);
  store_half(b.d, grid.d);
  pack_nibbles(codes, b.codes);
}

void encode_q5_0(const float* x, sluice_q5_0& b) {
  const Range range{-16, 15};
  const Grid grid = fit_symmetric<Scale::kHalf>(
      x, kBlock, range, {-16, -15.2f, -15.6f, -16.4f, -16.8f, -17.3f, 14.6f, 15, 15.4f, 15.8f, 16.3f});
  uint8_t codes[kBlock];
  encode(x, kBlock, grid.d, 0, range, codes);
  store_half(b.d, grid.d);
  pack_fifth_bits(codes, b.high);
  pack_nibbles(codes, b.codes);
}

void encode_q8_0(const float* x, sluice_q8_0& b) {
  // -128 is left out: dot products multiply by the sign of a code, and there is no +128.
  const Range range{-127, 127};
  const Grid grid = fit_symmetric<Scale::kHalf>(x, kBlock, range, {127, 126.6f, 126.2f, 125.8f, 127.4f});
  uint8_t codes[kBlock];
  encode(x, kBlock, grid.d, 0, range, codes);
  store_half(b.d, grid.d);
  for (size_t i = 0; i < kBlock; ++i) b.codes[i] = int8_t(int(codes[i]) - 127);
}

void encode_q4_1(const float* x, sluice_q4_1& b) {
  const Grid grid =
      fit_affine<Scale::kHalf>(x, kBlock, 15, Offset::kAny, {15, 15.3f, 15.6f, 16, 16.5f, 17, 18, 14, 13, 12});
  uint8_t codes[kBlock];
  encode(x, kBlock, grid.d, grid.m, {0, 15}, codes);
  store_half(b.d, grid.d);
  store_half(b.m, grid.m);
  pack_nibbles(codes, b.codes);
}

void encode_q5_1(const float* x, sluice_q5_1& b) {
  const Grid grid =
      fit_affine<Scale::kHalf>(x, kBlock, 31, Offset::kAny, {31, 30.6f, 31.3f, 31.6f, 32, 32.5f, 33, 30, 29});
  uint8_t codes[kBlock];
  encode(x, kBlock, grid.d, grid.m, {0, 31}, codes);
  store_half(b.d, grid.d);
  store_half(b.m, grid.m);
  pack_fifth_bits(codes, b.high);
  pack_nibbles(codes, b.codes);
}

// ---- IQ4_NL: sixteen fixed levels instead of an even grid -------------------------------------------------------

uint8_t nearest_level(float v) {
  const int8_t* levels = sluice_iq4_nl_table();
  uint8_t code = 0;
  while (code < 15 && v > 0.5f * float(levels[code] + levels[code + 1])) ++code;
  return code;
}

Moments measure_levels(const float* x, float d) {
  const int8_t* levels = sluice_iq4_nl_table();
  Moments sums;
  for (size_t i = 0; i < kBlock; ++i) {
    const float q = levels[nearest_level(d != 0 ? x[i] / d : 0)], miss = x[i] - d * q;
    sums.error += miss * miss;
    sums.qq += q * q;
    sums.xq += x[i] * q;
  }
  return sums;
}

void encode_iq4_nl(const float* x, sluice_iq4_nl& b) {
  const float top = extreme(x, kBlock);
  float d = 0;
  Moments best = measure_levels(x, 0);
  const auto consider = [&](float candidate) {
    candidate = round_to_half(candidate);
    if (candidate == 0) return false;
    const Moments now = measure_levels(x, candidate);
    if (!(now.error < best.error)) return false;
    best = now;
    d = candidate;
    return true;
  };
  for (const float start : {-127.f, -115.f, -120.f, -134.f, -142.f, 106.f, 113.f, 120.f, 128.f}) consider(top / start);
  for (int step = 0; step < 6 && best.qq > 0 && consider(best.xq / best.qq); ++step) {
  }
  uint8_t codes[kBlock];
  for (size_t i = 0; i < kBlock; ++i) codes[i] = nearest_level(d != 0 ? x[i] / d : 0);
  store_half(b.d, d);
  pack_nibbles(codes, b.codes);
}

template <class Block, class F>
void each_block(const float* x, size_t n, void* dst, F&& encode_block) {
  for (size_t i = 0; i < n / kBlock; ++i) encode_block(x + kBlock * i, static_cast<Block*>(dst)[i]);
}

}  // namespace

void quantize_small_blocks(uint32_t type, const float* x, size_t n, void* dst) {
  switch (type) {
    case SLUICE_GGUF_Q4_0:
      return each_block<sluice_q4_0>(x, n, dst, encode_q4_0);
    case SLUICE_GGUF_Q4_1:
      return each_block<sluice_q4_1>(x, n, dst, encode_q4_1);
    case SLUICE_GGUF_Q5_0:
      return each_block<sluice_q5_0>(x, n, dst, encode_q5_0);
    case SLUICE_GGUF_Q5_1:
      return each_block<sluice_q5_1>(x, n, dst, encode_q5_1);
    case SLUICE_GGUF_Q8_0:
      return each_block<sluice_q8_0>(x, n, dst, encode_q8_0);
    case SLUICE_GGUF_IQ4_NL:
      return each_block<sluice_iq4_nl>(x, n, dst, encode_iq4_nl);
    default:
      assert(!"a type of 32-blocks");
  }
}

}  // namespace sluice::quant
