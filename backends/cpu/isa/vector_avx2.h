// The vector types of isa/*_kernels.h on AVX2, FMA and F16C. To be included inside an unnamed namespace, after
// kernels.h and <immintrin.h>, by files compiled with these flags.

struct RowF {
  __m256 a, b;
};  // a float of each of a panel's 16 rows
struct RowI {
  __m256i a, b;
};  // 4 codes, or a 32-bit integer, of each row

constexpr const char* kName = "avx2";
constexpr int kExactRows = 6;  // 12 sums, 2 weights and an activation fill the 16 registers

// ---- panels ---------------------------------------------------------------------------------------

inline __m256i load_256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

inline RowI load_line(const uint8_t* p) { return {load_256(p), load_256(p + 32)}; }
inline RowI load_u8(const uint8_t* p) {
  const __m128i x = load_128(p);
  return {_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))};
}
inline RowI load_s8(const uint8_t* p) {
  const __m128i x = load_128(p);
  return {_mm256_cvtepi8_epi32(x), _mm256_cvtepi8_epi32(_mm_srli_si128(x, 8))};
}
inline RowI bit_and(RowI a, uint32_t mask) {
  const __m256i m = _mm256_set1_epi32(int(mask));
  return {_mm256_and_si256(a.a, m), _mm256_and_si256(a.b, m)};
}
inline RowI bit_or(RowI a, RowI b) { return {_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)}; }
template <int N>
inline RowI shift_left(RowI a) {
  return {_mm256_slli_epi32(a.a, N), _mm256_slli_epi32(a.b, N)};
}
template <int N>
inline RowI shift_right(RowI a) {
  return {_mm256_srli_epi32(a.a, N), _mm256_srli_epi32(a.b, N)};
}
template <int N>
inline RowI shift_right_signed(RowI a) {
  return {_mm256_srai_epi32(a.a, N), _mm256_srai_epi32(a.b, N)};
}
inline RowI subtract(RowI a, int32_t b) {
  const __m256i s = _mm256_set1_epi32(b);
  return {_mm256_sub_epi32(a.a, s), _mm256_sub_epi32(a.b, s)};
}
inline RowI lookup(RowI codes, const int8_t* table) {  // of every byte, which is below 16
  const __m256i t = _mm256_broadcastsi128_si256(load_128(table));
  return {_mm256_shuffle_epi8(t, codes.a), _mm256_shuffle_epi8(t, codes.b)};
}
inline __m256i splat_4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  return _mm256_set1_epi32(four);
}
// The sums over `groups` groups of 4 columns of code times q. Codes have `bits` bits, 8: signed. Products of bytes
// are added in pairs to 16 bits; `longest` such pairs cannot overflow, since |q| <= 127: 15 * 127 * 2 * 8 = 30480,
// 31 * 127 * 2 * 4 = 31496, 63 * 127 * 2 * 2 = 32004, 128 * 127 * 2 = 32512.
template <int bits, int groups>
inline RowI dot(const RowI* codes, const int8_t* q, int32_t) {
  const __m256i ones = _mm256_set1_epi16(1);
  RowI sum{};
  if constexpr (bits == 8) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
      const __m256i x = splat_4(q + 4 * g);
      const __m256i a = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[g].a), _mm256_sign_epi8(x, codes[g].a));
      const __m256i b = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[g].b), _mm256_sign_epi8(x, codes[g].b));
      sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(a, ones));
      sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(b, ones));
    }
  } else {
    constexpr int longest = bits <= 4 ? 8 : bits == 5 ? 4 : 2, run = groups < longest ? groups : longest;
    for (int first = 0; first < groups; first += run) {
      __m256i a{}, b{};
#pragma GCC unroll 8
      for (int g = first; g < first + run; g++) {
        const __m256i x = splat_4(q + 4 * g);
        a = _mm256_add_epi16(a, _mm256_maddubs_epi16(codes[g].a, x));
        b = _mm256_add_epi16(b, _mm256_maddubs_epi16(codes[g].b, x));
      }
      sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(a, ones));
      sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(b, ones));
    }
  }
  return sum;
}
inline RowF to_float(RowI a) { return {_mm256_cvtepi32_ps(a.a), _mm256_cvtepi32_ps(a.b)}; }
inline RowF load_row(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline RowF load_row_half(const uint8_t* p) {
  return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 16))};
}
inline RowF load_row_bfloat(const uint8_t* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p + 16)), 16))};
}
inline void store_row(float* p, RowF x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline RowF row_splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline RowF add(RowF x, RowF y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline RowF mul(RowF x, RowF y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline RowF fma(RowF x, RowF y, RowF z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }

#include "backends/cpu/isa/vector_avx2_f8.h"
