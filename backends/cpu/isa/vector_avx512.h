// The vector types of isa/*_kernels.h on AVX-512 with VNNI: one register holds a panel's 16 rows. Eight floats are
// AVX2's. To be included inside an unnamed namespace, after kernels.h and <immintrin.h>.

struct RowF {
  __m512 v;
};  // a float of each of a panel's 16 rows
struct RowI {
  __m512i v;
};  // 4 codes, or a 32-bit integer, of each row

constexpr const char* kName = "avx512vnni";
constexpr int kExactRows = 14;

inline RowI load_line(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256i load_256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline RowI load_u8(const uint8_t* p) { return {_mm512_cvtepu8_epi32(load_128(p))}; }
inline RowI load_s8(const uint8_t* p) { return {_mm512_cvtepi8_epi32(load_128(p))}; }
inline RowI bit_and(RowI a, uint32_t mask) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(int(mask)))}; }
inline RowI bit_or(RowI a, RowI b) { return {_mm512_or_si512(a.v, b.v)}; }
template <int N>
inline RowI shift_left(RowI a) {
  return {_mm512_slli_epi32(a.v, N)};
}
template <int N>
inline RowI shift_right(RowI a) {
  return {_mm512_srli_epi32(a.v, N)};
}
template <int N>
inline RowI shift_right_signed(RowI a) {
  return {_mm512_srai_epi32(a.v, N)};
}
inline RowI subtract(RowI a, int32_t b) { return {_mm512_sub_epi32(a.v, _mm512_set1_epi32(b))}; }
inline RowI lookup(RowI codes, const int8_t* table) {  // of every byte, which is below 16
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(load_128(table)), codes.v)};
}
inline __m512i splat_4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  return _mm512_set1_epi32(four);
}
// The sums over `groups` groups of 4 columns of code times q. Codes have `bits` bits, 8: signed. The instruction wants
// unsigned times signed, so signed codes get 128 more, and 128 * (sum of q) is taken off before.
template <int bits, int groups>
inline RowI dot(const RowI* codes, const int8_t* q, int32_t sum_of_q) {
  __m512i sum = bits == 8 ? _mm512_set1_epi32(-128 * sum_of_q) : _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int g = 0; g < groups; g++) {
    __m512i code = codes[g].v;
    if constexpr (bits == 8) code = _mm512_xor_si512(code, _mm512_set1_epi32(int(0x80808080u)));
    sum = _mm512_dpbusd_epi32(sum, code, splat_4(q + 4 * g));
  }
  return {sum};
}
inline RowF to_float(RowI a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline RowF load_row(const float* p) { return {_mm512_loadu_ps(p)}; }
inline RowF load_row_half(const uint8_t* p) { return {_mm512_cvtph_ps(load_256(p))}; }
inline RowF load_row_bfloat(const uint8_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(p)), 16))};
}
inline void store_row(float* p, RowF x) { _mm512_storeu_ps(p, x.v); }
inline RowF row_splat(float x) { return {_mm512_set1_ps(x)}; }
inline RowF add(RowF x, RowF y) { return {_mm512_add_ps(x.v, y.v)}; }
inline RowF mul(RowF x, RowF y) { return {_mm512_mul_ps(x.v, y.v)}; }
inline RowF fma(RowF x, RowF y, RowF z) { return {_mm512_fmadd_ps(x.v, y.v, z.v)}; }

#include "backends/cpu/isa/vector_avx2_f8.h"
