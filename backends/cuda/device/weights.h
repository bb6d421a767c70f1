// Weights as they stand in GGUF files, read 32 columns at a time: their numbers as floats, the same bits that
// sluice/gguf_types.h gives, or their products with activations of 8 bits.
#pragma once

#include <type_traits>

#include "backends/cuda/device/device.h"
#include "sluice/gguf_types.h"

namespace sluice::cuda {

// Blocks begin at even addresses.
SLUICE_DEVICE uint32_t load_16(const void* p) { return *static_cast<const uint16_t*>(p); }
SLUICE_DEVICE uint32_t load_32(const void* p) { return load_16(p) | load_16(static_cast<const uint8_t*>(p) + 2) << 16; }
SLUICE_DEVICE float load_half(const void* p) { return from_half(uint16_t(load_16(p))); }
SLUICE_DEVICE int32_t byte_of(uint32_t bytes, uint32_t i) { return int32_t(int8_t(bytes >> 8 * i)); }

// ---- codes ------------------------------------------------------------------------------------------

// Of the 4 columns 4 group .. 4 group + 3 of the block's 32-column chunk `chunk`, as 4 bytes.
SLUICE_DEVICE uint32_t nibbles_of(const uint8_t* codes, uint32_t group) {
  return load_32(codes + 4 * (group % 4)) >> 4 * (group / 4) & 0x0F0F0F0Fu;
}
SLUICE_DEVICE uint32_t fifth_bits(const uint8_t* high, uint32_t group) {
  return ((load_32(high) >> 4 * group & 15u) * 0x00204081u & 0x01010101u) << 4;  // bit i to byte i
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q4_0& b, uint32_t, uint32_t group) { return nibbles_of(b.codes, group); }
SLUICE_DEVICE uint32_t codes_of(const sluice_q4_1& b, uint32_t, uint32_t group) { return nibbles_of(b.codes, group); }
SLUICE_DEVICE uint32_t codes_of(const sluice_q5_0& b, uint32_t, uint32_t group) {
  return nibbles_of(b.codes, group) | fifth_bits(b.high, group);
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q5_1& b, uint32_t, uint32_t group) {
  return nibbles_of(b.codes, group) | fifth_bits(b.high, group);
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q8_0& b, uint32_t, uint32_t group) { return load_32(b.codes + 4 * group); }
SLUICE_TABLE int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
SLUICE_DEVICE uint32_t codes_of(const sluice_iq4_nl& b, uint32_t, uint32_t group) {
  const uint32_t places = nibbles_of(b.codes, group);
  uint32_t codes = 0;
  for (uint32_t i = 0; i < 4; i++) codes |= uint32_t(uint8_t(kIq4Levels[places >> 8 * i & 15])) << 8 * i;
  return codes;
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q2_k& b, uint32_t chunk, uint32_t group) {
  return load_32(b.codes + 32 * (chunk / 4) + 4 * group) >> 2 * (chunk % 4) & 0x03030303u;
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q3_k& b, uint32_t chunk, uint32_t group) {
  return (load_32(b.codes + 32 * (chunk / 4) + 4 * group) >> 2 * (chunk % 4) & 0x03030303u) |
         (load_32(b.high + 4 * group) >> chunk & 0x01010101u) << 2;
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q4_k& b, uint32_t chunk, uint32_t group) {
  return load_32(b.codes + 32 * (chunk / 2) + 4 * group) >> 4 * (chunk % 2) & 0x0F0F0F0Fu;
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q5_k& b, uint32_t chunk, uint32_t group) {
  return (load_32(b.codes + 32 * (chunk / 2) + 4 * group) >> 4 * (chunk % 2) & 0x0F0F0F0Fu) |
         (load_32(b.high + 4 * group) >> chunk & 0x01010101u) << 4;
}
SLUICE_DEVICE uint32_t codes_of(const sluice_q6_k& b, uint32_t chunk, uint32_t group) {
  const uint8_t* low = b.low + 64 * (chunk / 4) + 32 * (chunk % 2) + 4 * group;
  const uint8_t* high = b.high + 32 * (chunk / 4) + 4 * group;
  return (load_32(low) >> 4 * (chunk % 4 / 2) & 0x0F0F0F0Fu) | (load_32(high) >> 2 * (chunk % 4) & 0x03030303u) << 4;
}

// ---- scales -----------------------------------------------------------------------------------------

// x = scale * (code - offset) - min
struct Scale {
  float scale, min;
};
SLUICE_DEVICE Scale plain_scale(const uint8_t* d) { return {load_half(d), 0}; }
SLUICE_DEVICE Scale scale_of(const sluice_q4_0& b, uint32_t, uint32_t) { return plain_scale(b.d); }
SLUICE_DEVICE Scale scale_of(const sluice_q4_1& b, uint32_t, uint32_t) { return {load_half(b.d), -load_half(b.m)}; }
SLUICE_DEVICE Scale scale_of(const sluice_q5_0& b, uint32_t, uint32_t) { return plain_scale(b.d); }
SLUICE_DEVICE Scale scale_of(const sluice_q5_1& b, uint32_t, uint32_t) { return {load_half(b.d), -load_half(b.m)}; }
SLUICE_DEVICE Scale scale_of(const sluice_q8_0& b, uint32_t, uint32_t) { return plain_scale(b.d); }
SLUICE_DEVICE Scale scale_of(const sluice_iq4_nl& b, uint32_t, uint32_t) { return plain_scale(b.d); }
SLUICE_DEVICE Scale scale_of(const sluice_q2_k& b, uint32_t chunk, uint32_t half) {
  const uint32_t byte = b.scales[2 * chunk + half];
  return {multiply(load_half(b.d), float(byte & 15)), multiply(load_half(b.dmin), float(byte >> 4))};
}
SLUICE_DEVICE Scale scale_of(const sluice_q3_k& b, uint32_t chunk, uint32_t half) {
  const uint32_t s = 2 * chunk + half;
  const uint32_t low = uint32_t(b.scales[s % 8]) >> (s < 8 ? 0 : 4) & 15u;
  const uint32_t high = uint32_t(b.scales[8 + s % 4]) >> 2 * (s / 4) & 3u;
  return {multiply(load_half(b.d), float(int32_t(low | high << 4) - 32)), 0};
}
template <class B>
SLUICE_DEVICE Scale six_bit_scale(const B& b, uint32_t s) {
  uint32_t scale, min;
  if (s < 4) {
    scale = b.scales[s] & 63u, min = b.scales[s + 4] & 63u;
  } else {
    scale = (b.scales[s + 4] & 15u) | uint32_t(b.scales[s - 4] >> 6) << 4;
    min = uint32_t(b.scales[s + 4] >> 4) | uint32_t(b.scales[s] >> 6) << 4;
  }
  return {multiply(load_half(b.d), float(scale)), multiply(load_half(b.dmin), float(min))};
}
SLUICE_DEVICE Scale scale_of(const sluice_q4_k& b, uint32_t chunk, uint32_t) { return six_bit_scale(b, chunk); }
SLUICE_DEVICE Scale scale_of(const sluice_q5_k& b, uint32_t chunk, uint32_t) { return six_bit_scale(b, chunk); }
SLUICE_DEVICE Scale scale_of(const sluice_q6_k& b, uint32_t chunk, uint32_t half) {
  return {multiply(load_half(b.d), float(b.scales[2 * chunk + half])), 0};
}

// ---- rows -------------------------------------------------------------------------------------------

// Of blocks of `columns` columns: what is subtracted from codes, whether there are mins, and whether a scale is for 16
// columns instead of 32.
template <class B, uint32_t columns, int32_t offset_, bool min_, bool halves_>
struct Blocks {
  using Block = B;
  static constexpr int32_t offset = offset_;
  static constexpr bool floats = false, min = min_, halves = halves_;
  static constexpr uint32_t chunks = columns / kChunk;  // of a block
  SLUICE_DEVICE const B& block_of(const uint8_t* row, uint32_t chunk) {
    return reinterpret_cast<const B*>(row)[chunk / chunks];
  }
  // 4 numbers of a chunk
  SLUICE_DEVICE void values(const uint8_t* row, uint32_t chunk, uint32_t group, uint32_t, float* out) {
    const B& b = block_of(row, chunk);
    const uint32_t codes = codes_of(b, chunk % chunks, group);
    const Scale s = scale_of(b, chunk % chunks, halves ? group / 4 : 0);
    for (uint32_t i = 0; i < 4; i++) {
      const float product = multiply(s.scale, float(byte_of(codes, i) - offset));
      out[i] = min ? plus(product, -s.min) : product;
    }
  }
  // A chunk as it is before it meets activations: read once for several rows of them.
  struct Chunk {
    uint32_t codes[8];
    Scale scales[halves ? 2 : 1];
  };
  SLUICE_DEVICE Chunk load(const uint8_t* row, uint32_t chunk) {
    const B& b = block_of(row, chunk);
    Chunk x;
    for (uint32_t group = 0; group < 8; group++) x.codes[group] = codes_of(b, chunk % chunks, group);
    for (uint32_t half = 0; half < (halves ? 2u : 1u); half++) x.scales[half] = scale_of(b, chunk % chunks, half);
    return x;
  }
  // The chunk's share of a dot product.
  SLUICE_DEVICE float dot(const Chunk& w, const QuantBlock& x) {
    constexpr uint32_t parts = halves ? 2 : 1, groups = 8 / parts;
    float sum = 0;
    for (uint32_t part = 0; part < parts; part++) {
      int32_t products = 0;
      for (uint32_t i = 0; i < groups; i++) {
        products = dot4(w.codes[part * groups + i], x.q[part * groups + i], products);
      }
      const int32_t total = halves ? x.sums[part] : x.sums[0] + x.sums[1];
      sum += w.scales[part].scale * float(products - offset * total);
      if (min) sum -= w.scales[part].min * float(total);
    }
    return sum * x.d;
  }
};

template <uint32_t type_>
struct Floats {
  static constexpr bool floats = true;
  SLUICE_DEVICE float at(const uint8_t* row, uint32_t col) {
    if (type_ == SLUICE_GGUF_F32) return reinterpret_cast<const float*>(row)[col];
    const uint32_t bits = reinterpret_cast<const uint16_t*>(row)[col];
    return type_ == SLUICE_GGUF_F16 ? from_half(uint16_t(bits)) : float_of(bits << 16);
  }
  SLUICE_DEVICE void values(const uint8_t* row, uint32_t chunk, uint32_t group, uint32_t cols, float* out) {
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t col = chunk * kChunk + 4 * group + i;
      out[i] = col < cols ? at(row, col) : 0;
    }
  }
};

using F32 = Floats<SLUICE_GGUF_F32>;
using F16 = Floats<SLUICE_GGUF_F16>;
using BF16 = Floats<SLUICE_GGUF_BF16>;
using Q4_0 = Blocks<sluice_q4_0, 32, 8, false, false>;
using Q4_1 = Blocks<sluice_q4_1, 32, 0, true, false>;
using Q5_0 = Blocks<sluice_q5_0, 32, 16, false, false>;
using Q5_1 = Blocks<sluice_q5_1, 32, 0, true, false>;
using Q8_0 = Blocks<sluice_q8_0, 32, 0, false, false>;
using IQ4_NL = Blocks<sluice_iq4_nl, 32, 0, false, false>;
using Q2_K = Blocks<sluice_q2_k, 256, 0, true, true>;
using Q3_K = Blocks<sluice_q3_k, 256, 4, false, true>;
using Q4_K = Blocks<sluice_q4_k, 256, 0, true, false>;
using Q5_K = Blocks<sluice_q5_k, 256, 0, true, false>;
using Q6_K = Blocks<sluice_q6_k, 256, 32, false, true>;

}  // namespace sluice::cuda
