// Stands in for the compiler's header of this name and computes the AVX-512 operations that backends/cpu uses in plain
// C++, as the instruction manuals define them: so the kernels can be checked on a processor without them. See
// scripts/avx512_check.sh.
#pragma once

#include_next <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulated {

struct Integers {
  alignas(64) uint32_t v[16];
};
struct Reals {
  alignas(64) float v[16];
};

template <class F>
inline Integers integers(F f) {
  Integers r;
  for (int i = 0; i < 16; i++) r.v[i] = uint32_t(f(i));
  return r;
}
template <class F>
inline Reals reals(F f) {
  Reals r;
  for (int i = 0; i < 16; i++) r.v[i] = f(i);
  return r;
}
template <class To, class From>
inline To bits(const From& from) {
  static_assert(sizeof(To) <= sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
struct Bytes {
  uint8_t v[64];
};
struct Words {
  uint16_t v[16];
};

inline Integers load(const void* p) {
  Integers r;
  std::memcpy(&r, p, 64);
  return r;
}
inline Integers widen_u8(__m128i x) {
  uint8_t b[16];
  std::memcpy(b, &x, 16);
  return integers([&](int i) { return b[i]; });
}
inline Integers widen_s8(__m128i x) {
  int8_t b[16];
  std::memcpy(b, &x, 16);
  return integers([&](int i) { return int32_t(b[i]); });
}
inline Integers widen_u16(__m256i x) {
  const Words w = bits<Words>(x);
  return integers([&](int i) { return w.v[i]; });
}
inline Integers bit_and(Integers a, Integers b) {
  return integers([&](int i) { return a.v[i] & b.v[i]; });
}
inline Integers bit_or(Integers a, Integers b) {
  return integers([&](int i) { return a.v[i] | b.v[i]; });
}
inline Integers bit_xor(Integers a, Integers b) {
  return integers([&](int i) { return a.v[i] ^ b.v[i]; });
}
inline Integers left(Integers a, unsigned n) {
  return integers([&](int i) { return n > 31 ? 0 : a.v[i] << n; });
}
inline Integers right(Integers a, unsigned n) {
  return integers([&](int i) { return n > 31 ? 0 : a.v[i] >> n; });
}
inline Integers right_signed(Integers a, unsigned n) {
  return integers([&](int i) { return int32_t(a.v[i]) >> (n > 31 ? 31 : n); });
}
inline Integers subtract(Integers a, Integers b) {
  return integers([&](int i) { return a.v[i] - b.v[i]; });
}
inline Integers splat(int x) {
  return integers([&](int) { return x; });
}
inline Integers repeat_128(__m128i x) {
  Integers r;
  for (int i = 0; i < 4; i++) std::memcpy(r.v + 4 * i, &x, 16);
  return r;
}
inline Integers shuffle_bytes(Integers table, Integers index) {  // within 128 bits
  const Bytes t = bits<Bytes>(table), x = bits<Bytes>(index);
  Bytes r;
  for (int i = 0; i < 64; i++) r.v[i] = x.v[i] & 0x80 ? 0 : t.v[i / 16 * 16 + (x.v[i] & 15)];
  return bits<Integers>(r);
}
inline Integers dot_bytes(Integers sum, Integers u, Integers s) {  // unsigned times signed, without saturation
  const Bytes a = bits<Bytes>(u), b = bits<Bytes>(s);
  return integers([&](int i) {
    int32_t total = 0;
    for (int c = 0; c < 4; c++) total += int32_t(a.v[4 * i + c]) * int8_t(b.v[4 * i + c]);
    return sum.v[i] + uint32_t(total);
  });
}
inline Reals to_float(Integers a) {
  return reals([&](int i) { return float(int32_t(a.v[i])); });
}
inline Reals as_floats(Integers a) { return bits<Reals>(a); }
inline Reals load_floats(const void* p) {
  Reals r;
  std::memcpy(&r, p, 64);
  return r;
}
inline void store_floats(void* p, Reals a) { std::memcpy(p, &a, 64); }
inline Reals widen_half(__m256i x) {
  const Words w = bits<Words>(x);
  return reals([&](int i) { return _cvtsh_ss(w.v[i]); });
}
inline Reals splat_float(float x) {
  return reals([&](int) { return x; });
}
inline Reals add(Reals a, Reals b) {
  return reals([&](int i) { return a.v[i] + b.v[i]; });
}
inline Reals mul(Reals a, Reals b) {
  return reals([&](int i) { return a.v[i] * b.v[i]; });
}
inline Reals fused(Reals a, Reals b, Reals c) {
  return reals([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}

}  // namespace emulated

#define __m512 ::emulated::Reals
#define __m512i ::emulated::Integers
#define _mm512_loadu_si512 ::emulated::load
#define _mm512_cvtepu8_epi32 ::emulated::widen_u8
#define _mm512_cvtepi8_epi32 ::emulated::widen_s8
#define _mm512_cvtepu16_epi32 ::emulated::widen_u16
#define _mm512_and_si512 ::emulated::bit_and
#define _mm512_or_si512 ::emulated::bit_or
#define _mm512_xor_si512 ::emulated::bit_xor
#define _mm512_slli_epi32 ::emulated::left
#define _mm512_srli_epi32 ::emulated::right
#define _mm512_srai_epi32 ::emulated::right_signed
#define _mm512_sub_epi32 ::emulated::subtract
#define _mm512_set1_epi32 ::emulated::splat
#define _mm512_setzero_si512() ::emulated::splat(0)
#define _mm512_broadcast_i32x4 ::emulated::repeat_128
#define _mm512_shuffle_epi8 ::emulated::shuffle_bytes
#define _mm512_dpbusd_epi32 ::emulated::dot_bytes
#define _mm512_cvtepi32_ps ::emulated::to_float
#define _mm512_castsi512_ps ::emulated::as_floats
#define _mm512_loadu_ps ::emulated::load_floats
#define _mm512_storeu_ps ::emulated::store_floats
#define _mm512_cvtph_ps ::emulated::widen_half
#define _mm512_set1_ps ::emulated::splat_float
#define _mm512_add_ps ::emulated::add
#define _mm512_mul_ps ::emulated::mul
#define _mm512_fmadd_ps ::emulated::fused
