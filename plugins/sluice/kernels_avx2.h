/* sluice/kernels_avx2.h - the loops of sluice/kernels.h for AVX2 and F16C. Included by kernels.h; the functions carry
 * their instruction set, so the file around them may be built for any x86-64. */
#ifndef SLUICE_KERNELS_AVX2_H
#define SLUICE_KERNELS_AVX2_H

#include <immintrin.h>

#define SLUICE_AVX2 static inline __attribute__((target("avx2,f16c")))
#define SLUICE_AVX2_BODY static inline __attribute__((always_inline, target("avx2,f16c")))

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

/* ---- half floats, split ----------------------------------------------------------------------- */

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

SLUICE_AVX2 float sluice_split_avx2(size_t n, const float* x, int8_t* digits) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF), seven = _mm256_set1_epi32(127);
  const __m256i offset = _mm256_set1_epi32(64 * (1 + 128 + 16384) - 0x4B400000); /* less the bits of `round` */
  const __m256 round = _mm256_set1_ps(12582912.0f);
  const __m256i middle = _mm256_set1_epi8(64);
  __m256i most = _mm256_setzero_si256();
  __m256 inverse;
  float largest;
  int32_t bits[8];
  size_t i, j;
  if (n % 32 != 0) return sluice_split_body(n, x, digits);
  for (i = 0; i < n; i += 8)
    most = _mm256_max_epi32(most, _mm256_and_si256(magnitude, _mm256_loadu_si256((const __m256i*)(x + i))));
  _mm256_storeu_si256((__m256i*)bits, most);
  for (i = 1; i < 8; i++) bits[0] = bits[i] > bits[0] ? bits[i] : bits[0];
  memcpy(&largest, bits, sizeof largest);
  if (!(largest > 1e-30f && largest <= FLT_MAX)) {
    memset(digits, 0, 3 * n);
    return largest <= FLT_MAX ? 0.0f : largest - largest;
  }
  inverse = _mm256_set1_ps(SLUICE_DIGITS / largest);
  for (i = 0; i < n; i += 32) {
    __m256i v[4], d[4];
    for (j = 0; j < 4; j++) {
      const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i + 8 * j), inverse);
      v[j] = _mm256_add_epi32(_mm256_castps_si256(_mm256_add_ps(scaled, round)), offset);
      d[j] = _mm256_and_si256(v[j], seven);
    }
    _mm256_storeu_si256((__m256i*)(digits + i), _mm256_sub_epi8(sluice_avx2_bytes(d), middle));
    for (j = 0; j < 4; j++) d[j] = _mm256_and_si256(_mm256_srli_epi32(v[j], 7), seven);
    _mm256_storeu_si256((__m256i*)(digits + n + i), _mm256_sub_epi8(sluice_avx2_bytes(d), middle));
    for (j = 0; j < 4; j++) d[j] = _mm256_srli_epi32(v[j], 14);
    _mm256_storeu_si256((__m256i*)(digits + 2 * n + i), _mm256_sub_epi8(sluice_avx2_bytes(d), middle));
  }
  return largest / SLUICE_DIGITS;
}

/* ---- products with codes -------------------------------------------------------------------- */

#define SLUICE_AVX2_ROWS 16u /* unpacked at a time if several queries want them */

/* Four rows at a time, which share the digits. bits is what memory holds, wide says that codes need all eight bits:
 * then a pair of products fills 16 bits and is widened at once; narrower codes add up to 256 columns in 16 bits. */
SLUICE_AVX2_BODY void sluice_avx2_dot_rows(uint32_t bits, int wide, uint32_t rows, uint32_t cols, const uint8_t* packed,
                                           size_t row_bytes, const int8_t* digits, float step, float* sums) {
  const __m256i ones = _mm256_set1_epi16(1), base = _mm256_set1_epi16(128);
  const __m128 factor = _mm_set1_ps(step), high = _mm_set1_ps(16384.0f);
  uint32_t r, c, i, k;
  for (r = 0; r < rows; r += 4) {
    const uint32_t count = rows - r < 4 ? rows - r : 4;
    const uint8_t* row[4];
    __m256i sum[4][3], low, top;
    __m128i low4, top4;
    __m128 result;
    for (i = 0; i < 4; i++) {
      row[i] = packed + (r + (i < count ? i : 0)) * row_bytes;
      for (k = 0; k < 3; k++) sum[i][k] = _mm256_setzero_si256();
    }
    for (c = 0; c < cols; c += 32) {
      __m256i digit[3];
      for (k = 0; k < 3; k++) digit[k] = _mm256_loadu_si256((const __m256i*)(digits + k * cols + c));
      for (i = 0; i < 4; i++) {
        const __m256i codes = sluice_avx2_codes(bits, row[i] + c / 8 * bits);
        for (k = 0; k < 3; k++) {
          const __m256i pairs = _mm256_maddubs_epi16(codes, digit[k]);
          sum[i][k] =
              wide ? _mm256_add_epi32(sum[i][k], _mm256_madd_epi16(pairs, ones)) : _mm256_add_epi16(sum[i][k], pairs);
        }
      }
    }
    for (i = 0; i < 4; i++) {
      if (wide) {
        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_slli_epi32(sum[i][1], 7));
      } else {
        sum[i][0] = _mm256_add_epi32(_mm256_madd_epi16(sum[i][0], ones), _mm256_madd_epi16(sum[i][1], base));
        sum[i][2] = _mm256_madd_epi16(sum[i][2], ones);
      }
    }
    low = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0][0], sum[1][0]), _mm256_hadd_epi32(sum[2][0], sum[3][0]));
    top = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0][2], sum[1][2]), _mm256_hadd_epi32(sum[2][2], sum[3][2]));
    low4 = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    top4 = _mm_add_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    result = _mm_add_ps(_mm_cvtepi32_ps(low4), _mm_mul_ps(high, _mm_cvtepi32_ps(top4)));
    result = _mm_mul_ps(factor, result);
    if (count == 4) {
      _mm_storeu_ps(sums + r, result);
    } else {
      float rest[4];
      _mm_storeu_ps(rest, result);
      for (i = 0; i < count; i++) sums[r + i] = rest[i];
    }
  }
}

SLUICE_AVX2_BODY void sluice_avx2_dot_bits(uint32_t bits, const sluice_codes* codes, uint32_t queries,
                                           const int8_t* digits, const float* steps, size_t stride, float* sums) {
  const uint8_t* packed = (const uint8_t*)codes->packed;
  const uint32_t cols = codes->cols;
  const size_t query = (size_t)3 * cols;
  uint8_t unpacked[SLUICE_AVX2_ROWS * 256];
  uint32_t r, i, k;
  if (queries == 1 || bits == 8) {
    for (i = 0; i < queries; i++)
      sluice_avx2_dot_rows(bits, bits == 8, codes->rows, cols, packed, codes->row_bytes, digits + i * query, steps[i],
                           sums + i * stride);
    return;
  }
  for (r = 0; r < codes->rows; r += SLUICE_AVX2_ROWS) {
    const uint32_t count = codes->rows - r < SLUICE_AVX2_ROWS ? codes->rows - r : SLUICE_AVX2_ROWS;
    for (k = 0; k < count; k++)
      sluice_avx2_unpack_bits(bits, cols, packed + (r + k) * codes->row_bytes, unpacked + (size_t)k * cols);
    for (i = 0; i < queries; i++)
      sluice_avx2_dot_rows(8, 0, count, cols, unpacked, cols, digits + i * query, steps[i], sums + i * stride + r);
  }
}
SLUICE_AVX2 void sluice_dot_avx2(const sluice_codes* codes, uint32_t queries, const int8_t* digits, const float* steps,
                                 size_t stride, float* sums) {
  if (codes->bits == 2) sluice_avx2_dot_bits(2, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 3) sluice_avx2_dot_bits(3, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 4) sluice_avx2_dot_bits(4, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 8) sluice_avx2_dot_bits(8, codes, queries, digits, steps, stride, sums);
}

/* Two rows of a strip of 32 columns, interleaved: columns 0-7 and 16-23 in pair[0], 8-15 and 24-31 in pair[1]. */
SLUICE_AVX2_BODY void sluice_avx2_interleave(uint32_t bits, const uint8_t* even, const uint8_t* odd, __m256i* pair) {
  const __m256i a = sluice_avx2_codes(bits, even);
  const __m256i b = odd ? sluice_avx2_codes(bits, odd) : _mm256_setzero_si256();
  pair[0] = _mm256_unpacklo_epi8(a, b);
  pair[1] = _mm256_unpackhi_epi8(a, b);
}

/* low[4][8] and top[4][8] are sums of 32 columns: four at a time, columns 4 i and 16 + 4 i on. */
SLUICE_AVX2_BODY void sluice_avx2_store_strip(const __m256i* low, const __m256i* top, float step, float* sums) {
  uint32_t i;
  for (i = 0; i < 4; i++) {
    const __m256 high = _mm256_mul_ps(_mm256_set1_ps(16384.0f), _mm256_cvtepi32_ps(top[i]));
    const __m256 sum = _mm256_mul_ps(_mm256_set1_ps(step), _mm256_add_ps(_mm256_cvtepi32_ps(low[i]), high));
    _mm_storeu_ps(sums + 4 * i, _mm256_castps256_ps128(sum));
    _mm_storeu_ps(sums + 16 + 4 * i, _mm256_extractf128_ps(sum, 1));
  }
}

/* A strip of 32 columns for one query, codes below 16. pairs: interleaved before, or NULL. Sixteen pairs of rows add
 * up in 16 bits. */
SLUICE_AVX2_BODY void sluice_avx2_mix_strip(uint32_t bits, uint32_t rows, const uint8_t* packed, size_t row_bytes,
                                            const __m256i* pairs, const int8_t* digits, float step, float* sums) {
  const __m256i one_base = _mm256_set1_epi32(1 | 128 << 16), one = _mm256_set1_epi32(1);
  const __m256i none = _mm256_setzero_si256();
  __m256i low[4], top[4];
  uint32_t r, first, k;
  for (k = 0; k < 4; k++) low[k] = top[k] = none;
  for (first = 0; first < rows; first += 32) {
    const uint32_t end = rows - first < 32 ? rows : first + 32;
    __m256i sum[3][2];
    for (k = 0; k < 3; k++) sum[k][0] = sum[k][1] = none;
    for (r = first; r < end; r += 2) {
      __m256i pair[2];
      if (pairs) {
        pair[0] = _mm256_load_si256(pairs + r), pair[1] = _mm256_load_si256(pairs + r + 1);
      } else {
        const uint8_t* row = packed + r * row_bytes;
        sluice_avx2_interleave(bits, row, r + 1 < rows ? row + row_bytes : NULL, pair);
      }
      for (k = 0; k < 3; k++) {
        int16_t weights;
        __m256i digit;
        memcpy(&weights, digits + k * SLUICE_CHUNK + r, sizeof weights);
        digit = _mm256_set1_epi16(weights);
        sum[k][0] = _mm256_add_epi16(sum[k][0], _mm256_maddubs_epi16(pair[0], digit));
        sum[k][1] = _mm256_add_epi16(sum[k][1], _mm256_maddubs_epi16(pair[1], digit));
      }
    }
    for (k = 0; k < 2; k++) {
      const __m256i a = sum[0][k], b = sum[1][k], c = sum[2][k];
      low[2 * k] = _mm256_add_epi32(low[2 * k], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), one_base));
      low[2 * k + 1] = _mm256_add_epi32(low[2 * k + 1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), one_base));
      top[2 * k] = _mm256_add_epi32(top[2 * k], _mm256_madd_epi16(_mm256_unpacklo_epi16(c, none), one));
      top[2 * k + 1] = _mm256_add_epi32(top[2 * k + 1], _mm256_madd_epi16(_mm256_unpackhi_epi16(c, none), one));
    }
  }
  sluice_avx2_store_strip(low, top, step, sums);
}

/* Four rows of a strip of 32 columns of eight bits, interleaved: columns 4 i and 16 + 4 i on in quad[i]. */
SLUICE_AVX2_BODY void sluice_avx2_interleave8(uint32_t rows, uint32_t first, const uint8_t* packed, size_t row_bytes,
                                              __m256i* quad) {
  __m256i row[4], ab, cd;
  uint32_t i;
  for (i = 0; i < 4; i++)
    row[i] = first + i < rows ? _mm256_loadu_si256((const __m256i*)(packed + (first + i) * row_bytes))
                              : _mm256_setzero_si256();
  ab = _mm256_unpacklo_epi8(row[0], row[1]), cd = _mm256_unpacklo_epi8(row[2], row[3]);
  quad[0] = _mm256_unpacklo_epi16(ab, cd), quad[1] = _mm256_unpackhi_epi16(ab, cd);
  ab = _mm256_unpackhi_epi8(row[0], row[1]), cd = _mm256_unpackhi_epi8(row[2], row[3]);
  quad[2] = _mm256_unpacklo_epi16(ab, cd), quad[3] = _mm256_unpackhi_epi16(ab, cd);
}

/* mix_strip for codes of eight bits: two products fill 16 bits and are widened at once. */
SLUICE_AVX2_BODY void sluice_avx2_mix_strip8(uint32_t rows, const __m256i* quads, const int8_t* digits, float step,
                                             float* sums) {
  const __m256i ones = _mm256_set1_epi16(1), none = _mm256_setzero_si256();
  __m256i low[4], top[4];
  uint32_t r, half, i, k;
  for (half = 0; half < 4; half += 2) {
    __m256i sum[3][2];
    for (k = 0; k < 3; k++) sum[k][0] = sum[k][1] = none;
    for (r = 0; r < rows; r += 4)
      for (k = 0; k < 3; k++) {
        int32_t weights;
        __m256i digit;
        memcpy(&weights, digits + k * SLUICE_CHUNK + r, sizeof weights);
        digit = _mm256_set1_epi32(weights);
        for (i = 0; i < 2; i++)
          sum[k][i] = _mm256_add_epi32(
              sum[k][i], _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_load_si256(quads + r + half + i), digit), ones));
      }
    for (i = 0; i < 2; i++) {
      low[half + i] = _mm256_add_epi32(sum[0][i], _mm256_slli_epi32(sum[1][i], 7));
      top[half + i] = sum[2][i];
    }
  }
  sluice_avx2_store_strip(low, top, step, sums);
}

SLUICE_AVX2_BODY void sluice_avx2_mix_bits(uint32_t bits, const sluice_codes* codes, uint32_t queries,
                                           const int8_t* digits, const float* steps, size_t stride, float* sums) {
  const uint32_t rows = codes->rows;
  const size_t row_bytes = codes->row_bytes;
  __m256i mixed[SLUICE_CHUNK]; /* rows of a strip, interleaved */
  uint32_t c, i, r;
  for (c = 0; c < codes->cols; c += 32) {
    const uint8_t* packed = (const uint8_t*)codes->packed + c / 8 * bits;
    const int shared = queries > 1 && bits != 8;
    if (bits == 8)
      for (r = 0; r < rows; r += 4) sluice_avx2_interleave8(rows, r, packed, row_bytes, mixed + r);
    else if (shared)
      for (r = 0; r < rows; r += 2) {
        const uint8_t* row = packed + r * row_bytes;
        sluice_avx2_interleave(bits, row, r + 1 < rows ? row + row_bytes : NULL, mixed + r);
      }
    for (i = 0; i < queries; i++) {
      const int8_t* digit = digits + (size_t)i * 3 * SLUICE_CHUNK;
      float* to = sums + i * stride + c;
      if (bits == 8)
        sluice_avx2_mix_strip8(rows, mixed, digit, steps[i], to);
      else if (shared)
        sluice_avx2_mix_strip(bits, rows, packed, row_bytes, mixed, digit, steps[i], to);
      else
        sluice_avx2_mix_strip(bits, rows, packed, row_bytes, NULL, digit, steps[i], to);
    }
  }
}
SLUICE_AVX2 void sluice_mix_avx2(const sluice_codes* codes, uint32_t queries, const int8_t* digits, const float* steps,
                                 size_t stride, float* sums) {
  if (codes->bits == 2) sluice_avx2_mix_bits(2, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 3) sluice_avx2_mix_bits(3, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 4) sluice_avx2_mix_bits(4, codes, queries, digits, steps, stride, sums);
  if (codes->bits == 8) sluice_avx2_mix_bits(8, codes, queries, digits, steps, stride, sums);
}

/* ---- floats ---------------------------------------------------------------------------------- */

SLUICE_AVX2 float sluice_inner_avx2(size_t n, const float* a, const float* b) {
  __m256 sums = _mm256_setzero_ps();
  float sum[8];
  size_t i, j;
  for (i = 0; i + 8 <= n; i += 8)
    sums = _mm256_add_ps(sums, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
  _mm256_storeu_ps(sum, sums);
  for (j = 0; i + j < n; j++) sum[j] += a[i + j] * b[i + j];
  return sluice_add8(sum);
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
                                       sluice_split_avx2,
                                       sluice_dot_avx2,
                                       sluice_mix_avx2,
                                       sluice_inner_avx2,
                                       sluice_axpy_avx2,
                                       sluice_range_avx2,
                                       sluice_quantize_avx2,
                                       sluice_dequantize_avx2,
                                       sluice_project_avx2,
                                       sluice_project_back_avx2};
  return &table;
}

#endif
