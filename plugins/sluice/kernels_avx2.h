/* sluice/kernels_avx2.h - the loops of sluice/kernels.h for AVX2 and F16C. Included by kernels.h; the functions carry
 * their instruction set, so the file around them may be built for any x86-64. */
#ifndef SLUICE_KERNELS_AVX2_H
#define SLUICE_KERNELS_AVX2_H

#include <cpuid.h>
#include <immintrin.h>

#define SLUICE_AVX2 static inline __attribute__((target("avx2,f16c")))
#define SLUICE_AVX2_BODY static inline __attribute__((always_inline, target("avx2,f16c")))

/* Clang 14 knows no "f16c" to ask __builtin_cpu_supports() for; that AVX registers are kept is part of "avx2". */
static inline int sluice_has_avx2(void) {
  unsigned a, b, c, d;
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* ---- codes ---------------------------------------------------------------------------------- */

/* The 32 codes of a group, one per byte. */
SLUICE_AVX2_BODY __m256i sluice_avx2_codes(uint32_t bits, const uint8_t* bytes) {
  __m256i codes, high, bit;
  int64_t low;
  int32_t top;
  if (bits == 8) return _mm256_loadu_si256((const __m256i*)bytes);
  if (bits == 4) {
    codes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)bytes));
    codes = _mm256_srlv_epi32(codes, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    return _mm256_and_si256(codes, _mm256_set1_epi8(15));
  }
  memcpy(&low, bytes, sizeof low);
  codes = _mm256_srlv_epi64(_mm256_set1_epi64x(low), _mm256_setr_epi64x(0, 2, 4, 6));
  codes = _mm256_and_si256(codes, _mm256_set1_epi8(3));
  if (bits == 2) return codes;
  memcpy(&top, bytes + 8, sizeof top);
  high = _mm256_shuffle_epi8(_mm256_set1_epi32(top),
                             _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
  high = _mm256_cmpeq_epi8(_mm256_and_si256(high, bit), bit);
  return _mm256_or_si256(codes, _mm256_and_si256(high, _mm256_set1_epi8(4)));
}

SLUICE_AVX2_BODY void sluice_avx2_pack_bits(uint32_t bits, size_t n, const uint8_t* codes, uint8_t* bytes) {
  uint8_t rest[32];
  for (; n > 0; n -= n < 32 ? n : 32, codes += 32, bytes += 4 * bits) {
    const uint8_t* group = codes;
    if (n < 32) {
      memset(rest, 0, sizeof rest);
      memcpy(rest, codes, n);
      group = rest;
    }
    sluice_pack_group(bits == 3 ? 2 : bits, group, bytes);
    if (bits == 3) {
      const __m256i all = _mm256_loadu_si256((const __m256i*)group);
      const int32_t top = _mm256_movemask_epi8(_mm256_slli_epi16(all, 5));
      memcpy(bytes + 8, &top, sizeof top);
    }
  }
}
SLUICE_AVX2 void sluice_pack_avx2(uint32_t bits, size_t n, const uint8_t* codes, void* packed) {
  uint8_t* bytes = (uint8_t*)packed;
  if (bits == 2) sluice_avx2_pack_bits(2, n, codes, bytes);
  if (bits == 3) sluice_avx2_pack_bits(3, n, codes, bytes);
  if (bits == 4) sluice_avx2_pack_bits(4, n, codes, bytes);
  if (bits == 8) sluice_avx2_pack_bits(8, n, codes, bytes);
}

SLUICE_AVX2_BODY void sluice_avx2_unpack_bits(uint32_t bits, size_t n, const uint8_t* bytes, uint8_t* codes) {
  uint8_t rest[32];
  for (; n >= 32; n -= 32, codes += 32, bytes += 4 * bits)
    _mm256_storeu_si256((__m256i*)codes, sluice_avx2_codes(bits, bytes));
  if (n == 0) return;
  _mm256_storeu_si256((__m256i*)rest, sluice_avx2_codes(bits, bytes));
  memcpy(codes, rest, n);
}
SLUICE_AVX2 void sluice_unpack_avx2(uint32_t bits, size_t n, const void* packed, uint8_t* codes) {
  const uint8_t* bytes = (const uint8_t*)packed;
  if (bits == 2) sluice_avx2_unpack_bits(2, n, bytes, codes);
  if (bits == 3) sluice_avx2_unpack_bits(3, n, bytes, codes);
  if (bits == 4) sluice_avx2_unpack_bits(4, n, bytes, codes);
  if (bits == 8) sluice_avx2_unpack_bits(8, n, bytes, codes);
}

/* ---- half floats ---------------------------------------------------------------------------- */

SLUICE_AVX2 void sluice_from_half_avx2(size_t n, const uint16_t* half, float* x) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(half + i))));
  for (; i < n; i++) x[i] = sluice_from_half(half[i]);
}

SLUICE_AVX2 void sluice_to_half_avx2(size_t n, const float* x, uint16_t* half) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((__m128i*)(half + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; i++) half[i] = sluice_to_half(x[i]);
}

/* The low bytes of four vectors of integers below 256, in order. */
SLUICE_AVX2_BODY __m256i sluice_avx2_bytes(const __m256i* v) {
  const __m256i words0 = _mm256_packus_epi32(v[0], v[1]), words1 = _mm256_packus_epi32(v[2], v[3]);
  return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words0, words1), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

#include "kernels_avx2_products.h"

/* ---- floats ---------------------------------------------------------------------------------- */

/* Eight products of a vector, added to its partial sums. */
SLUICE_AVX2_BODY __m256 sluice_avx2_inner_step(__m256 part, __m256 v, const float* x) {
  return _mm256_add_ps(part, _mm256_mul_ps(v, _mm256_loadu_ps(x)));
}
/* The sum of eight partial sums and what the loop over eights left. */
SLUICE_AVX2_BODY float sluice_avx2_inner_end(__m256 part, size_t left, const float* a, const float* x) {
  float sum[8];
  size_t j;
  _mm256_storeu_ps(sum, part);
  for (j = 0; j < left; j++) sum[j] += a[j] * x[j];
  return sluice_add8(sum);
}

/* One, two or four vectors at a time, each with its own eight partial sums. */
SLUICE_AVX2_BODY void sluice_avx2_inners(size_t n, uint32_t count, const float* a, const float* x, size_t stride,
                                         float* sums) {
  const float *x1 = x + (count > 1 ? stride : 0), *x2 = x + (count > 2 ? 2 * stride : 0);
  const float* x3 = x + (count > 2 ? 3 * stride : 0);
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i;
  for (i = 0; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_loadu_ps(a + i);
    s0 = sluice_avx2_inner_step(s0, v, x + i);
    if (count > 1) s1 = sluice_avx2_inner_step(s1, v, x1 + i);
    if (count > 2) s2 = sluice_avx2_inner_step(s2, v, x2 + i), s3 = sluice_avx2_inner_step(s3, v, x3 + i);
  }
  sums[0] = sluice_avx2_inner_end(s0, n - i, a + i, x + i);
  if (count > 1) sums[1] = sluice_avx2_inner_end(s1, n - i, a + i, x1 + i);
  if (count < 4) return;
  sums[2] = sluice_avx2_inner_end(s2, n - i, a + i, x2 + i);
  sums[3] = sluice_avx2_inner_end(s3, n - i, a + i, x3 + i);
}
SLUICE_AVX2 void sluice_inners_avx2(size_t n, size_t count, const float* a, const float* x, size_t stride,
                                    float* sums) {
  for (; count >= 4; count -= 4, x += 4 * stride, sums += 4) sluice_avx2_inners(n, 4, a, x, stride, sums);
  if (count >= 2) {
    sluice_avx2_inners(n, 2, a, x, stride, sums);
    count -= 2, x += 2 * stride, sums += 2;
  }
  if (count == 1) sluice_avx2_inners(n, 1, a, x, stride, sums);
}
SLUICE_AVX2 float sluice_inner_avx2(size_t n, const float* a, const float* b) {
  float sum;
  sluice_avx2_inners(n, 1, a, b, 0, &sum);
  return sum;
}
SLUICE_AVX2 void sluice_axpys_avx2(size_t n, size_t count, const float* w, const float* x, size_t stride, float* y) {
  size_t i = 0, j;
  for (; i + 8 <= n; i += 8) {
    __m256 sum = _mm256_loadu_ps(y + i);
    for (j = 0; j < count; j++)
      sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_set1_ps(w[j]), _mm256_loadu_ps(x + j * stride + i)));
    _mm256_storeu_ps(y + i, sum);
  }
  for (j = 0; i < n && j < count; j++) sluice_axpy_body(n - i, w[j], x + j * stride + i, y + i);
}
SLUICE_AVX2 void sluice_axpy_avx2(size_t n, float w, const float* x, float* y) { sluice_axpy_body(n, w, x, y); }
SLUICE_AVX2 void sluice_range_avx2(size_t rows, size_t n, const float* x, float* low, float* high) {
  size_t r, i;
  for (i = 0; i + 8 <= n; i += 8) {
    __m256 least = _mm256_loadu_ps(x + i), most = least;
    for (r = 1; r < rows; r++) {
      const __m256 v = _mm256_loadu_ps(x + r * n + i);
      least = _mm256_min_ps(v, least);
      most = _mm256_max_ps(v, most);
    }
    _mm256_storeu_ps(low + i, least);
    _mm256_storeu_ps(high + i, most);
  }
  for (; i < n; i++)
    for (low[i] = high[i] = x[i], r = 1; r < rows; r++) {
      const float v = x[r * n + i];
      low[i] = v < low[i] ? v : low[i];
      high[i] = v > high[i] ? v : high[i];
    }
}
SLUICE_AVX2 void sluice_quantize_avx2(size_t n, const float* x, const float* scale, const float* zero, uint32_t levels,
                                      uint8_t* codes) {
  const __m256 round = _mm256_set1_ps(12582912.0f), most = _mm256_set1_ps((float)levels);
  const __m256 none = _mm256_setzero_ps(), never = _mm256_set1_ps(FLT_MAX);
  size_t i = 0, j;
  for (; i + 32 <= n; i += 32) {
    __m256i code[4];
    for (j = 0; j < 4; j++) {
      const __m256 by = _mm256_loadu_ps(scale + i + 8 * j);
      const __m256 divisor = _mm256_blendv_ps(never, by, _mm256_cmp_ps(by, none, _CMP_GT_OQ));
      __m256 q = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * j), _mm256_loadu_ps(zero + i + 8 * j));
      q = _mm256_sub_ps(_mm256_add_ps(_mm256_div_ps(q, divisor), round), round);
      q = _mm256_min_ps(_mm256_max_ps(q, none), most);
      code[j] = _mm256_cvttps_epi32(q);
    }
    _mm256_storeu_si256((__m256i*)(codes + i), sluice_avx2_bytes(code));
  }
  sluice_quantize_body(n - i, x + i, scale + i, zero + i, levels, codes + i);
}
SLUICE_AVX2 void sluice_dequantize_avx2(size_t n, const uint8_t* codes, const float* scale, const float* zero,
                                        float* x) {
  sluice_dequantize_body(n, codes, scale, zero, x);
}

SLUICE_AVX2 void sluice_project_avx2(size_t rows, size_t cols, size_t width, const float* x, const float* p, float* y) {
  size_t r, c, k, i;
  for (r = 0; r < rows; r += 4) {
    const size_t count = rows - r < 4 ? rows - r : 4;
    const float* row[4];
    for (i = 0; i < 4; i++) row[i] = x + (r + (i < count ? i : 0)) * cols;
    for (k = 0; k < width; k += 8) {
      __m256 sum[4];
      for (i = 0; i < 4; i++) sum[i] = _mm256_setzero_ps();
      for (c = 0; c < cols; c++) {
        const __m256 v = _mm256_loadu_ps(p + c * width + k);
        for (i = 0; i < 4; i++) sum[i] = _mm256_add_ps(sum[i], _mm256_mul_ps(_mm256_set1_ps(row[i][c]), v));
      }
      for (i = 0; i < count; i++) _mm256_storeu_ps(y + (r + i) * width + k, sum[i]);
    }
  }
}

SLUICE_AVX2 void sluice_project_back_avx2(size_t rows, size_t cols, size_t width, const float* x, const float* y,
                                          float* p) {
  size_t r, c, k, i;
  for (c = 0; c < cols; c += 4) {
    const size_t count = cols - c < 4 ? cols - c : 4;
    for (k = 0; k < width; k += 8) {
      __m256 sum[4];
      for (i = 0; i < 4; i++) sum[i] = _mm256_setzero_ps();
      for (r = 0; r < rows; r++) {
        const __m256 v = _mm256_loadu_ps(y + r * width + k);
        const float* at = x + r * cols + c;
        for (i = 0; i < 4; i++) sum[i] = _mm256_add_ps(sum[i], _mm256_mul_ps(_mm256_set1_ps(at[i < count ? i : 0]), v));
      }
      for (i = 0; i < count; i++) _mm256_storeu_ps(p + (c + i) * width + k, sum[i]);
    }
  }
}

static inline const sluice_kernels* sluice_kernels_avx2(void) {
  static const sluice_kernels table = {"avx2",
                                       sluice_pack_avx2,
                                       sluice_unpack_avx2,
                                       sluice_from_half_avx2,
                                       sluice_to_half_avx2,
                                       sluice_fix_avx2,
                                       sluice_dot_avx2,
                                       sluice_split_avx2,
                                       sluice_mix_avx2,
                                       sluice_settle_avx2,
                                       sluice_inner_avx2,
                                       sluice_axpy_avx2,
                                       sluice_inners_avx2,
                                       sluice_axpys_avx2,
                                       sluice_range_avx2,
                                       sluice_quantize_avx2,
                                       sluice_dequantize_avx2,
                                       sluice_project_avx2,
                                       sluice_project_back_avx2};
  return &table;
}

#endif
