/* sluice/kernels_avx2_products.h - floats as integers and their products with codes, for AVX2: what is behind fix(),
 * dot(), split(), mix() and settle() of sluice/kernels.h. Included by kernels_avx2.h. */
#ifndef SLUICE_KERNELS_AVX2_PRODUCTS_H
#define SLUICE_KERNELS_AVX2_PRODUCTS_H

/* ---- floats as integers ----------------------------------------------------------------------- */

/* Eight factors. */
SLUICE_AVX2_BODY __m256 sluice_avx2_scaled(const float* x, const float* scale, size_t i) {
  const __m256 v = _mm256_loadu_ps(x + i);
  return scale ? _mm256_mul_ps(v, _mm256_loadu_ps(scale + i)) : v;
}

/* See sluice_largest(). n is a multiple of 8. */
SLUICE_AVX2_BODY float sluice_avx2_largest(size_t n, const float* x, const float* scale) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i most = _mm256_setzero_si256();
  __m128i four;
  size_t i;
  for (i = 0; i < n; i += 8)
    most = _mm256_max_epi32(most, _mm256_and_si256(magnitude, _mm256_castps_si256(sluice_avx2_scaled(x, scale, i))));
  four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtss_f32(_mm_castsi128_ps(four));
}

/* Eight integers: cvtps rounds to nearest even as long as nobody has changed the mode, like all sums here. */
SLUICE_AVX2_BODY __m256i sluice_avx2_whole(const float* x, const float* scale, size_t i, __m256 inverse) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(sluice_avx2_scaled(x, scale, i), inverse));
}

/* The same, and what rounding left over is added to *rest. */
SLUICE_AVX2_BODY __m256i sluice_avx2_whole_and_rest(const float* x, const float* scale, size_t i, __m256 inverse,
                                                    __m256* rest) {
  const __m256 scaled = _mm256_mul_ps(sluice_avx2_scaled(x, scale, i), inverse);
  const __m256i whole = _mm256_cvtps_epi32(scaled);
  *rest = _mm256_add_ps(*rest, _mm256_sub_ps(scaled, _mm256_cvtepi32_ps(whole)));
  return whole;
}

SLUICE_AVX2_BODY float sluice_avx2_fix(size_t n, const float* x, const float* scale, int16_t* whole, float* rest) {
  __m256 inverse, left = _mm256_setzero_ps();
  float largest, step, sum[8];
  size_t i;
  if (n % 16 != 0) return sluice_fix_body(n, x, scale, whole, rest);
  largest = sluice_avx2_largest(n, x, scale);
  *rest = 0;
  if (sluice_no_step(largest, &step)) {
    memset(whole, 0, n * sizeof *whole);
    return step;
  }
  inverse = _mm256_set1_ps(SLUICE_WHOLE / largest), step = largest / SLUICE_WHOLE;
  for (i = 0; i < n; i += 16) {
    const __m256i a = sluice_avx2_whole_and_rest(x, scale, i, inverse, &left);
    const __m256i b = sluice_avx2_whole_and_rest(x, scale, i + 8, inverse, &left);
    _mm256_storeu_si256((__m256i*)(whole + i), _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8));
  }
  _mm256_storeu_ps(sum, left);
  *rest = step * sluice_add8(sum);
  return step;
}
SLUICE_AVX2 float sluice_fix_avx2(size_t n, const float* x, const float* scale, int16_t* whole, float* rest) {
  return scale ? sluice_avx2_fix(n, x, scale, whole, rest) : sluice_avx2_fix(n, x, NULL, whole, rest);
}

SLUICE_AVX2_BODY float sluice_avx2_split(size_t n, const float* x, const float* scale, int8_t* digits) {
  const __m256i seven = _mm256_set1_epi32(127), offset = _mm256_set1_epi32(64 * (1 + 128 + 16384));
  const __m256i middle = _mm256_set1_epi8(64);
  float largest, step;
  __m256 inverse;
  size_t i, j;
  if (n % 32 != 0) return sluice_split_body(n, x, scale, digits);
  largest = sluice_avx2_largest(n, x, scale);
  if (sluice_no_step(largest, &step)) {
    memset(digits, 0, 3 * n);
    return step;
  }
  inverse = _mm256_set1_ps(SLUICE_DIGITS / largest);
  for (i = 0; i < n; i += 32) {
    __m256i v[4], d[4];
    for (j = 0; j < 4; j++) {
      v[j] = _mm256_add_epi32(sluice_avx2_whole(x, scale, i + 8 * j, inverse), offset);
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
SLUICE_AVX2 float sluice_split_avx2(size_t n, const float* x, const float* scale, int8_t* digits) {
  return scale ? sluice_avx2_split(n, x, scale, digits) : sluice_avx2_split(n, x, NULL, digits);
}

/* ---- products with codes -------------------------------------------------------------------- */

#define SLUICE_AVX2_QUERIES 3u /* that share a row's codes: with two rows, six sums */
#define SLUICE_AVX2_ROWS 16u   /* unpacked at a time if more queries want them */

/* Of each 32 numbers, those in even columns and then those in odd ones: so codes in bytes become 16 bits by a mask and
 * by a shift. */
SLUICE_AVX2_BODY void sluice_avx2_even_odd(uint32_t cols, const int16_t* whole, int16_t* to) {
  const __m256i apart =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  uint32_t c;
  for (c = 0; c < cols; c += 32) {
    const __m256i a = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)(whole + c)), apart);
    const __m256i b = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)(whole + c + 16)), apart);
    const __m256i even = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), 0xD8);
    const __m256i odd = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), 0xD8);
    _mm256_storeu_si256((__m256i*)(to + c), even);
    _mm256_storeu_si256((__m256i*)(to + c + 16), odd);
  }
}

/* Two rows for up to SLUICE_AVX2_QUERIES queries, whose sums and numbers stay in registers: pairs[i] holds the sums of
 * query i in two columns of each half. */
SLUICE_AVX2_BODY void sluice_avx2_dot_pair(uint32_t bits, uint32_t queries, uint32_t cols, const uint8_t* first,
                                           const uint8_t* second, const int16_t* even_odd, __m256i* pairs) {
  const __m256i low_byte = _mm256_set1_epi16(255);
  const int16_t *x = even_odd, *y = x + (queries > 1 ? cols : 0), *z = y + (queries > 2 ? cols : 0), *end = x + cols;
  __m256i a0 = _mm256_setzero_si256(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0;
  for (; x < end; x += 32, y += 32, z += 32, first += 4 * bits, second += 4 * bits) {
    const __m256i codes0 = sluice_avx2_codes(bits, first), codes1 = sluice_avx2_codes(bits, second);
    const __m256i even0 = _mm256_and_si256(codes0, low_byte), odd0 = _mm256_srli_epi16(codes0, 8);
    const __m256i even1 = _mm256_and_si256(codes1, low_byte), odd1 = _mm256_srli_epi16(codes1, 8);
    __m256i number = _mm256_loadu_si256((const __m256i*)x);
    a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(even0, number));
    a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(even1, number));
    number = _mm256_loadu_si256((const __m256i*)x + 1);
    a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(odd0, number));
    a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(odd1, number));
    if (queries > 1) {
      number = _mm256_loadu_si256((const __m256i*)y);
      b0 = _mm256_add_epi32(b0, _mm256_madd_epi16(even0, number));
      b1 = _mm256_add_epi32(b1, _mm256_madd_epi16(even1, number));
      number = _mm256_loadu_si256((const __m256i*)y + 1);
      b0 = _mm256_add_epi32(b0, _mm256_madd_epi16(odd0, number));
      b1 = _mm256_add_epi32(b1, _mm256_madd_epi16(odd1, number));
    }
    if (queries > 2) {
      number = _mm256_loadu_si256((const __m256i*)z);
      c0 = _mm256_add_epi32(c0, _mm256_madd_epi16(even0, number));
      c1 = _mm256_add_epi32(c1, _mm256_madd_epi16(even1, number));
      number = _mm256_loadu_si256((const __m256i*)z + 1);
      c0 = _mm256_add_epi32(c0, _mm256_madd_epi16(odd0, number));
      c1 = _mm256_add_epi32(c1, _mm256_madd_epi16(odd1, number));
    }
  }
  pairs[0] = _mm256_hadd_epi32(a0, a1);
  if (queries > 1) pairs[1] = _mm256_hadd_epi32(b0, b1);
  if (queries > 2) pairs[2] = _mm256_hadd_epi32(c0, c1);
}

/* Up to four scores of one query, of rows 0, 1 in `first` and 2, 3 in `second`. */
SLUICE_AVX2_BODY void sluice_avx2_store_scores(uint32_t count, __m256i first, __m256i second, float step, float bias,
                                               float* sums) {
  const __m256i all = _mm256_hadd_epi32(first, second);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  const __m128 result = _mm_add_ps(_mm_mul_ps(_mm_set1_ps(step), _mm_cvtepi32_ps(four)), _mm_set1_ps(bias));
  float some[4];
  if (count == 4) {
    _mm_storeu_ps(sums, result);
  } else {
    _mm_storeu_ps(some, result);
    memcpy(sums, some, count * sizeof *sums);
  }
}

/* `even_odd` as above, one query after the other. */
SLUICE_AVX2_BODY void sluice_avx2_dot_rows(uint32_t bits, uint32_t queries, uint32_t rows, uint32_t cols,
                                           const uint8_t* packed, size_t row_bytes, const int16_t* even_odd,
                                           const float* steps, const float* bias, size_t stride, float* sums) {
  uint32_t r;
  for (r = 0; r < rows; r += 4, sums += 4, packed += 4 * row_bytes) {
    const uint32_t count = rows - r < 4 ? rows - r : 4;
    const uint8_t *second = packed + (count > 1 ? row_bytes : 0), *third = packed + (count > 2 ? 2 * row_bytes : 0);
    const uint8_t* fourth = packed + (count > 3 ? 3 * row_bytes : 0);
    __m256i pairs[2][SLUICE_AVX2_QUERIES];
    sluice_avx2_dot_pair(bits, queries, cols, packed, second, even_odd, pairs[0]);
    sluice_avx2_dot_pair(bits, queries, cols, third, fourth, even_odd, pairs[1]);
    sluice_avx2_store_scores(count, pairs[0][0], pairs[1][0], steps[0], bias[0], sums);
    if (queries > 1) sluice_avx2_store_scores(count, pairs[0][1], pairs[1][1], steps[1], bias[1], sums + stride);
    if (queries > 2) sluice_avx2_store_scores(count, pairs[0][2], pairs[1][2], steps[2], bias[2], sums + 2 * stride);
  }
}

SLUICE_AVX2_BODY void sluice_avx2_dot_some(uint32_t bits, uint32_t queries, uint32_t rows, uint32_t cols,
                                           const uint8_t* packed, size_t row_bytes, const int16_t* even_odd,
                                           const float* steps, const float* bias, size_t stride, float* sums) {
  if (queries == 1) sluice_avx2_dot_rows(bits, 1, rows, cols, packed, row_bytes, even_odd, steps, bias, stride, sums);
  if (queries == 2) sluice_avx2_dot_rows(bits, 2, rows, cols, packed, row_bytes, even_odd, steps, bias, stride, sums);
  if (queries == 3) sluice_avx2_dot_rows(bits, 3, rows, cols, packed, row_bytes, even_odd, steps, bias, stride, sums);
}

/* How many of the queries left go together; four are two and two. */
SLUICE_AVX2_BODY uint32_t sluice_avx2_together(uint32_t left) {
  return left == 4 ? 2 : left < SLUICE_AVX2_QUERIES ? left : SLUICE_AVX2_QUERIES;
}

SLUICE_AVX2_BODY void sluice_avx2_dot_bits(uint32_t bits, const sluice_codes* codes, uint32_t queries,
                                           const int16_t* even_odd, const float* steps, const float* bias,
                                           size_t stride, float* sums) {
  const uint8_t* packed = (const uint8_t*)codes->packed;
  const uint32_t cols = codes->cols, rows = codes->rows;
  uint8_t unpacked[SLUICE_AVX2_ROWS * 256];
  uint32_t r, i, k, n;
  if (queries <= SLUICE_AVX2_QUERIES || bits == 8) {
    for (i = 0; i < queries; i += n) {
      n = sluice_avx2_together(queries - i);
      sluice_avx2_dot_some(bits, n, rows, cols, packed, codes->row_bytes, even_odd + (size_t)i * cols, steps + i,
                           bias + i, stride, sums + i * stride);
    }
    return;
  }
  for (r = 0; r < rows; r += SLUICE_AVX2_ROWS) {
    const uint32_t count = rows - r < SLUICE_AVX2_ROWS ? rows - r : SLUICE_AVX2_ROWS;
    for (k = 0; k < count; k++)
      sluice_avx2_unpack_bits(bits, cols, packed + (r + k) * codes->row_bytes, unpacked + (size_t)k * cols);
    for (i = 0; i < queries; i += n) {
      n = sluice_avx2_together(queries - i);
      sluice_avx2_dot_some(8, n, count, cols, unpacked, cols, even_odd + (size_t)i * cols, steps + i, bias + i, stride,
                           sums + i * stride + r);
    }
  }
}
SLUICE_AVX2 void sluice_dot_avx2(const sluice_codes* codes, uint32_t queries, const int16_t* whole, const float* steps,
                                 const float* bias, size_t stride, float* sums) {
  int16_t even_odd[16 * 256];
  uint32_t first, i;
  for (first = 0; first < queries; first += 16, sums += 16 * stride) {
    const uint32_t n = queries - first < 16 ? queries - first : 16;
    for (i = 0; i < n; i++)
      sluice_avx2_even_odd(codes->cols, whole + (size_t)(first + i) * codes->cols, even_odd + (size_t)i * codes->cols);
    if (codes->bits == 2) sluice_avx2_dot_bits(2, codes, n, even_odd, steps + first, bias + first, stride, sums);
    if (codes->bits == 3) sluice_avx2_dot_bits(3, codes, n, even_odd, steps + first, bias + first, stride, sums);
    if (codes->bits == 4) sluice_avx2_dot_bits(4, codes, n, even_odd, steps + first, bias + first, stride, sums);
    if (codes->bits == 8) sluice_avx2_dot_bits(8, codes, n, even_odd, steps + first, bias + first, stride, sums);
  }
}

/* Up to four rows of a strip of 32 columns, interleaved: columns 4 i and 16 + 4 i on in quad[i]. */
SLUICE_AVX2_BODY void sluice_avx2_interleave(uint32_t bits, uint32_t count, const uint8_t* packed, size_t row_bytes,
                                             __m256i* quad) {
  const __m256i none = _mm256_setzero_si256(), a = sluice_avx2_codes(bits, packed);
  const __m256i b = count > 1 ? sluice_avx2_codes(bits, packed + row_bytes) : none;
  const __m256i c = count > 2 ? sluice_avx2_codes(bits, packed + 2 * row_bytes) : none;
  const __m256i d = count > 3 ? sluice_avx2_codes(bits, packed + 3 * row_bytes) : none;
  __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
  quad[0] = _mm256_unpacklo_epi16(ab, cd), quad[1] = _mm256_unpackhi_epi16(ab, cd);
  ab = _mm256_unpackhi_epi8(a, b), cd = _mm256_unpackhi_epi8(c, d);
  quad[2] = _mm256_unpacklo_epi16(ab, cd), quad[3] = _mm256_unpackhi_epi16(ab, cd);
}

/* Columns 0 and 16 on, four of each, from their sums of digits: 2^0 and 2^7 in `low`, 2^14 in `top`. */
SLUICE_AVX2_BODY void sluice_avx2_store_mixed(__m256i low, __m256i top, float step, float* sums) {
  const __m256 high = _mm256_mul_ps(_mm256_set1_ps(16384.0f), _mm256_cvtepi32_ps(top));
  const __m256 sum = _mm256_mul_ps(_mm256_set1_ps(step), _mm256_add_ps(_mm256_cvtepi32_ps(low), high));
  _mm_storeu_ps(sums, _mm256_castps256_ps128(sum));
  _mm_storeu_ps(sums + 16, _mm256_extractf128_ps(sum, 1));
}

/* sum + quad * digit. Codes of eight bits (wide): two products fill 16 bits and are widened at once. Narrower ones: a
 * chunk's 32 products of at most 64 * 15 add up in 16 bits. */
SLUICE_AVX2_BODY __m256i sluice_avx2_mix_step(int wide, __m256i sum, __m256i quad, __m256i digit) {
  if (!wide) return _mm256_add_epi16(sum, _mm256_maddubs_epi16(quad, digit));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(quad, digit), _mm256_set1_epi16(1)));
}
SLUICE_AVX2_BODY __m256i sluice_avx2_widened(int wide, __m256i sum) {
  return wide ? sum : _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}
SLUICE_AVX2_BODY __m256i sluice_avx2_four_digits(const int8_t* digits) {
  int32_t four;
  memcpy(&four, digits, sizeof four);
  return _mm256_set1_epi32(four);
}

/* Sixteen of a strip's columns for one query, those of two quads: 0 .. 7 and 16 .. 23. */
SLUICE_AVX2_BODY void sluice_avx2_mix_half(int wide, uint32_t rows, const __m256i* quad, const int8_t* digits,
                                           float step, float* sums) {
  const int8_t* const end = digits + rows;
  __m256i a0 = _mm256_setzero_si256(), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0;
  for (; digits < end; digits += 4, quad += 4) {
    const __m256i q0 = _mm256_load_si256(quad), q1 = _mm256_load_si256(quad + 1);
    __m256i digit = sluice_avx2_four_digits(digits);
    a0 = sluice_avx2_mix_step(wide, a0, q0, digit), a1 = sluice_avx2_mix_step(wide, a1, q1, digit);
    digit = sluice_avx2_four_digits(digits + SLUICE_CHUNK);
    b0 = sluice_avx2_mix_step(wide, b0, q0, digit), b1 = sluice_avx2_mix_step(wide, b1, q1, digit);
    digit = sluice_avx2_four_digits(digits + 2 * SLUICE_CHUNK);
    c0 = sluice_avx2_mix_step(wide, c0, q0, digit), c1 = sluice_avx2_mix_step(wide, c1, q1, digit);
  }
  b0 = _mm256_slli_epi32(sluice_avx2_widened(wide, b0), 7), b1 = _mm256_slli_epi32(sluice_avx2_widened(wide, b1), 7);
  a0 = _mm256_add_epi32(sluice_avx2_widened(wide, a0), b0), a1 = _mm256_add_epi32(sluice_avx2_widened(wide, a1), b1);
  sluice_avx2_store_mixed(a0, sluice_avx2_widened(wide, c0), step, sums);
  sluice_avx2_store_mixed(a1, sluice_avx2_widened(wide, c1), step, sums + 4);
}

SLUICE_AVX2_BODY void sluice_avx2_mix_bits(uint32_t bits, const sluice_codes* codes, uint32_t queries,
                                           const int8_t* digits, const float* steps, size_t stride, float* sums) {
  const uint32_t rows = codes->rows;
  __m256i quads[SLUICE_CHUNK]; /* rows of a strip, interleaved */
  uint32_t c, i, r;
  for (c = 0; c < codes->cols; c += 32) {
    const uint8_t* packed = (const uint8_t*)codes->packed + c / 8 * bits;
    for (r = 0; r + 4 <= rows; r += 4)
      sluice_avx2_interleave(bits, 4, packed + r * codes->row_bytes, codes->row_bytes, quads + r);
    if (r < rows) sluice_avx2_interleave(bits, rows - r, packed + r * codes->row_bytes, codes->row_bytes, quads + r);
    for (i = 0; i < queries; i++) {
      const int8_t* d = digits + (size_t)i * 3 * SLUICE_CHUNK;
      sluice_avx2_mix_half(bits == 8, rows, quads, d, steps[i], sums + i * stride + c);
      sluice_avx2_mix_half(bits == 8, rows, quads + 2, d, steps[i], sums + i * stride + c + 8);
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

SLUICE_AVX2 void sluice_settle_avx2(size_t n, const float* x, const float* scale, float bias, const float* zero,
                                    float* y) {
  const __m256 by = _mm256_set1_ps(bias);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(scale + i));
    const __m256 sum = _mm256_add_ps(product, _mm256_mul_ps(by, _mm256_loadu_ps(zero + i)));
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), sum));
  }
  sluice_settle_body(n - i, x + i, scale + i, bias, zero + i, y + i);
}

#endif
