/* sluice/kernels.h - inner loops that codecs share: codes of 2, 3, 4 or 8 bits, packed, unpacked and multiplied,
 * half floats, and the thin products of low-rank methods. Header-only C99. Choose a table in create():
 * sluice_kernels_best(). What a block looks like is the codec's business.
 *
 * Packed form: groups of 32 codes, 4 * bits bytes each, laid out so that a vector unpacks with a shift and a mask.
 * Code i of a group, 0 <= i < 32:
 *   8 bit  byte i
 *   4 bit  byte i % 16, from bit 4 * (i / 16) up
 *   2 bit  byte i % 8, from bit 2 * (i / 8) up
 *   3 bit  the low two bits as for 2 bit, then four bytes more: the high bit is bit i % 8 of byte i / 8
 * n codes take (n + 31) / 32 groups; unused codes are 0.
 *
 * Products with codes are exact in integers, so that no order of summation can change a bit: a vector of floats becomes
 * integers of one step, they are multiplied with the codes, and one rounding at the end makes a float of the sum.
 * dot() takes 16 bits, since what it sums over are channels of like size: a factor is off by at most 2^-16 of the
 * largest. What all factors together are off is known and can be made up for, so that codes count from their middle:
 * see fix(). mix() takes 21 bits, as three signed digits in base 128, since of a chunk's weights one may outweigh all
 * others: a factor is off by at most 2^-21 of the largest.
 *
 * All tables give the same bits: products are exact, the other loops keep one order (eight partial sums where they
 * add) and never fuse. So a block is the same on every machine.
 */
#ifndef SLUICE_KERNELS_H
#define SLUICE_KERNELS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "half.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_CHUNK 64u         /* the most rows mix() takes at a time */
#define SLUICE_DIGITS 1040319.0f /* 63 * (1 + 128 + 16384): the largest number that three digits write */
#define SLUICE_WHOLE 32767.0f    /* the largest that 16 bits write; times 255 and 256 columns it fits 32 bits */

/* Packed rows: row r starts at packed + r * row_bytes. cols is a multiple of 32, at most 256. */
typedef struct sluice_codes {
  const void* packed;
  size_t row_bytes;
  uint32_t bits, rows, cols;
} sluice_codes;

/* [any thread] */
typedef struct sluice_kernels {
  const char* isa;
  /* n codes, each below 2^bits, to and from packed bytes. */
  void (*pack)(uint32_t bits, size_t n, const uint8_t* codes, void* packed);
  void (*unpack)(uint32_t bits, size_t n, const void* packed, uint8_t* codes);
  /* IEEE half floats, round to nearest even; what is too large becomes infinite. */
  void (*from_half)(size_t n, const uint16_t* half, float* x);
  void (*to_half)(size_t n, const float* x, uint16_t* half);

  /* x[i] * scale[i] = step * whole[i]; returns the step: 0 if all are (nearly) 0, NaN if one is not finite. scale may
   * be NULL: all ones. *rest is what rounding left over, the sum of x[i] * scale[i] - step * whole[i]: with half the
   * largest code times it as bias, dot() errs as if codes were counted from their middle, half as much or less. */
  float (*fix)(size_t n, const float* x, const float* scale, int16_t* whole, float* rest);
  /* sums[i * stride + r] = bias[i] + sum over columns of x_i[c] * code[r][c], where x_i was fixed in whole + i * cols
   * with steps[i]. */
  void (*dot)(const sluice_codes* codes, uint32_t queries, const int16_t* whole, const float* steps, const float* bias,
              size_t stride, float* sums);
  /* x[i] * scale[i] = step * (digits[i] + 128 * digits[n + i] + 16384 * digits[2 * n + i]), digits between -64 and 63;
   * otherwise as fix(). */
  float (*split)(size_t n, const float* x, const float* scale, int8_t* digits);
  /* sums[i * stride + c] = sum over rows of w_i[r] * code[r][c], where w_i, SLUICE_CHUNK long with zeros after the
   * last row, was split into digits + i * 3 * SLUICE_CHUNK with steps[i]. At most SLUICE_CHUNK rows. */
  void (*mix)(const sluice_codes* codes, uint32_t queries, const int8_t* digits, const float* steps, size_t stride,
              float* sums);
  /* y[i] += x[i] * scale[i] + bias * zero[i]: what makes products with codes products with rows. */
  void (*settle)(size_t n, const float* x, const float* scale, float bias, const float* zero, float* y);

  /* sum of a[i] * b[i] */
  float (*inner)(size_t n, const float* a, const float* b);
  /* y[i] += w * x[i] */
  void (*axpy)(size_t n, float w, const float* x, float* y);
  /* The same with `count` vectors x_j at x + j * stride: sums[j] = inner(a, x_j), and one axpy after the other. */
  void (*inners)(size_t n, size_t count, const float* a, const float* x, size_t stride, float* sums);
  void (*axpys)(size_t n, size_t count, const float* w, const float* x, size_t stride, float* y);

  /* Smallest and largest number of each column of x[rows][n]. */
  void (*range)(size_t rows, size_t n, const float* x, float* low, float* high);
  /* codes[i] = (x[i] - zero[i]) / scale[i], rounded to nearest even and kept within 0 .. levels; 0 where the scale
   * is 0. x[i] - zero[i] is at most 2^21 scales. */
  void (*quantize)(size_t n, const float* x, const float* scale, const float* zero, uint32_t levels, uint8_t* codes);
  /* x[i] = codes[i] * scale[i] + zero[i] */
  void (*dequantize)(size_t n, const uint8_t* codes, const float* scale, const float* zero, float* x);

  /* Thin products for `width` directions at once, a multiple of 8 up to 32: y[rows][width] = x[rows][cols] *
   * p[cols][width], and p[cols][width] = transposed x * y. */
  void (*project)(size_t rows, size_t cols, size_t width, const float* x, const float* p, float* y);
  void (*project_back)(size_t rows, size_t cols, size_t width, const float* x, const float* y, float* p);
} sluice_kernels;

static inline size_t sluice_packed_bytes(uint32_t bits, size_t n) { return (n + 31) / 32 * 4 * bits; }

/* Loops that the compiler vectorises for the instruction set of the function they are inlined into. */
#if defined(__GNUC__)
#define SLUICE_BODY static inline __attribute__((always_inline))
#else
#define SLUICE_BODY static inline
#endif

/* ---- codes ---------------------------------------------------------------------------------- */

/* One group: bytes[4 * bits] <-> codes[32]. */
SLUICE_BODY void sluice_pack_group(uint32_t bits, const uint8_t* codes, uint8_t* bytes) {
  uint32_t i;
  if (bits == 8) {
    memcpy(bytes, codes, 32);
  } else if (bits == 4) {
    for (i = 0; i < 16; i++) bytes[i] = (uint8_t)(codes[i] | codes[i + 16] << 4);
  } else {
    for (i = 0; i < 8; i++)
      bytes[i] =
          (uint8_t)((codes[i] & 3) | (codes[i + 8] & 3) << 2 | (codes[i + 16] & 3) << 4 | (codes[i + 24] & 3) << 6);
    if (bits == 3) {
      for (i = 8; i < 12; i++) bytes[i] = 0;
      for (i = 0; i < 32; i++) bytes[8 + i / 8] = (uint8_t)(bytes[8 + i / 8] | (codes[i] >> 2) << i % 8);
    }
  }
}

SLUICE_BODY void sluice_unpack_group(uint32_t bits, const uint8_t* bytes, uint8_t* codes) {
  uint32_t i;
  if (bits == 8) {
    memcpy(codes, bytes, 32);
  } else if (bits == 4) {
    for (i = 0; i < 16; i++) {
      codes[i] = bytes[i] & 15;
      codes[i + 16] = bytes[i] >> 4;
    }
  } else {
    for (i = 0; i < 32; i++) codes[i] = bytes[i % 8] >> 2 * (i / 8) & 3;
    if (bits == 3)
      for (i = 0; i < 32; i++) codes[i] = (uint8_t)(codes[i] | (bytes[8 + i / 8] >> i % 8 & 1) << 2);
  }
}

static inline void sluice_pack_portable(uint32_t bits, size_t n, const uint8_t* codes, void* packed) {
  uint8_t* bytes = (uint8_t*)packed;
  uint8_t rest[32];
  for (; n >= 32; n -= 32, codes += 32, bytes += 4 * bits) sluice_pack_group(bits, codes, bytes);
  if (n == 0) return;
  memset(rest, 0, sizeof rest);
  memcpy(rest, codes, n);
  sluice_pack_group(bits, rest, bytes);
}

static inline void sluice_unpack_portable(uint32_t bits, size_t n, const void* packed, uint8_t* codes) {
  const uint8_t* bytes = (const uint8_t*)packed;
  uint8_t rest[32];
  for (; n >= 32; n -= 32, codes += 32, bytes += 4 * bits) sluice_unpack_group(bits, bytes, codes);
  if (n == 0) return;
  sluice_unpack_group(bits, bytes, rest);
  memcpy(codes, rest, n);
}

/* ---- half floats ---------------------------------------------------------------------------- */

static inline void sluice_from_half_portable(size_t n, const uint16_t* half, float* x) {
  size_t i;
  for (i = 0; i < n; i++) x[i] = sluice_from_half(half[i]);
}

static inline void sluice_to_half_portable(size_t n, const float* x, uint16_t* half) {
  size_t i;
  for (i = 0; i < n; i++) half[i] = sluice_to_half(x[i]);
}

/* ---- products with codes -------------------------------------------------------------------- */

/* The largest magnitude; as integers, since their order is that of the floats and leaves no room for NaN to hide. */
SLUICE_BODY float sluice_largest(size_t n, const float* x, const float* scale) {
  int32_t largest = 0, bits;
  float result;
  size_t i;
  for (i = 0; i < n; i++) {
    const float v = scale ? x[i] * scale[i] : x[i];
    memcpy(&bits, &v, sizeof bits);
    bits &= 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  memcpy(&result, &largest, sizeof result);
  return result;
}

/* Is there a step for numbers up to `largest`? If not, *step is what fix() and split() return. */
SLUICE_BODY int sluice_no_step(float largest, float* step) {
  if (largest > 1e-30f && largest <= FLT_MAX) return 0;
  *step = largest <= FLT_MAX ? 0.0f : largest - largest; /* infinite or NaN gives NaN */
  return 1;
}

#define SLUICE_ROUND 12582912.0f /* 3 * 2^22: adding it rounds to an integer */

/* Eight partial sums, number i in sum i % 8, then halved. */
SLUICE_BODY float sluice_add8(const float* sum) {
  const float a = sum[0] + sum[4], b = sum[1] + sum[5], c = sum[2] + sum[6], d = sum[3] + sum[7];
  return (a + c) + (b + d);
}

SLUICE_BODY float sluice_fix_body(size_t n, const float* x, const float* scale, int16_t* whole, float* rest) {
  const float largest = sluice_largest(n, x, scale);
  float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, inverse, step;
  size_t i;
  *rest = 0;
  if (sluice_no_step(largest, &step)) {
    memset(whole, 0, n * sizeof *whole);
    return step;
  }
  inverse = SLUICE_WHOLE / largest, step = largest / SLUICE_WHOLE;
  for (i = 0; i < n; i++) {
    const float v = scale ? x[i] * scale[i] : x[i], scaled = v * inverse;
    const float rounded = (scaled + SLUICE_ROUND) - SLUICE_ROUND;
    whole[i] = (int16_t)(int32_t)rounded;
    sum[i % 8] += scaled - rounded;
  }
  *rest = step * sluice_add8(sum);
  return step;
}

SLUICE_BODY float sluice_split_body(size_t n, const float* x, const float* scale, int8_t* digits) {
  const float largest = sluice_largest(n, x, scale);
  float inverse, step;
  size_t i;
  if (sluice_no_step(largest, &step)) {
    memset(digits, 0, 3 * n);
    return step;
  }
  inverse = SLUICE_DIGITS / largest;
  for (i = 0; i < n; i++) {
    const float x_i = scale ? x[i] * scale[i] : x[i], scaled = x_i * inverse;
    int32_t v = (int32_t)((scaled + SLUICE_ROUND) - SLUICE_ROUND) + 64 * (1 + 128 + 16384);
    digits[i] = (int8_t)((v & 127) - 64);
    digits[n + i] = (int8_t)((v >> 7 & 127) - 64);
    digits[2 * n + i] = (int8_t)((v >> 14) - 64);
  }
  return largest / SLUICE_DIGITS;
}

/* The float of a sum of digits times codes. */
SLUICE_BODY float sluice_join(float step, int32_t sum0, int32_t sum1, int32_t sum2) {
  return step * ((float)(sum0 + 128 * sum1) + 16384.0f * (float)sum2);
}

static inline void sluice_dot_portable(const sluice_codes* codes, uint32_t queries, const int16_t* whole,
                                       const float* steps, const float* bias, size_t stride, float* sums) {
  uint8_t row[256];
  uint32_t r, i, c;
  for (r = 0; r < codes->rows; r++) {
    sluice_unpack_portable(codes->bits, codes->cols, (const uint8_t*)codes->packed + r * codes->row_bytes, row);
    for (i = 0; i < queries; i++) {
      const int16_t* w = whole + (size_t)i * codes->cols;
      float product;
      int32_t sum = 0;
      for (c = 0; c < codes->cols; c++) sum += w[c] * (int16_t)row[c];
      product = steps[i] * (float)sum;
      sums[i * stride + r] = product + bias[i];
    }
  }
}

static inline void sluice_mix_portable(const sluice_codes* codes, uint32_t queries, const int8_t* digits,
                                       const float* steps, size_t stride, float* sums) {
  uint8_t unpacked[SLUICE_CHUNK][32];
  int32_t sum[3][32];
  uint32_t first, r, i, k, c;
  for (first = 0; first < codes->cols; first += 32) {
    const uint8_t* packed = (const uint8_t*)codes->packed + sluice_packed_bytes(codes->bits, first);
    for (r = 0; r < codes->rows; r++) sluice_unpack_group(codes->bits, packed + r * codes->row_bytes, unpacked[r]);
    for (i = 0; i < queries; i++) {
      const int8_t* d = digits + (size_t)i * 3 * SLUICE_CHUNK;
      memset(sum, 0, sizeof sum);
      for (r = 0; r < codes->rows; r++)
        for (k = 0; k < 3; k++) {
          const int16_t digit = d[k * SLUICE_CHUNK + r];
          for (c = 0; c < 32; c++) sum[k][c] += digit * (int16_t)unpacked[r][c];
        }
      for (c = 0; c < 32; c++) sums[i * stride + first + c] = sluice_join(steps[i], sum[0][c], sum[1][c], sum[2][c]);
    }
  }
}

/* ---- floats ---------------------------------------------------------------------------------- */

SLUICE_BODY float sluice_inner_body(size_t n, const float* a, const float* b) {
  float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  size_t i, j;
  for (i = 0; i + 8 <= n; i += 8)
    for (j = 0; j < 8; j++) sum[j] += a[i + j] * b[i + j];
  for (j = 0; i + j < n; j++) sum[j] += a[i + j] * b[i + j];
  return sluice_add8(sum);
}

SLUICE_BODY void sluice_axpy_body(size_t n, float w, const float* x, float* y) {
  size_t i;
  for (i = 0; i < n; i++) y[i] += w * x[i];
}

SLUICE_BODY void sluice_settle_body(size_t n, const float* x, const float* scale, float bias, const float* zero,
                                    float* y) {
  size_t i;
  for (i = 0; i < n; i++) {
    const float product = x[i] * scale[i], offset = bias * zero[i];
    y[i] += product + offset;
  }
}

SLUICE_BODY void sluice_range_body(size_t rows, size_t n, const float* x, float* low, float* high) {
  size_t r, i;
  for (i = 0; i < n; i++) low[i] = high[i] = x[i];
  for (r = 1; r < rows; r++)
    for (x += n, i = 0; i < n; i++) {
      low[i] = x[i] < low[i] ? x[i] : low[i];
      high[i] = x[i] > high[i] ? x[i] : high[i];
    }
}

SLUICE_BODY void sluice_quantize_body(size_t n, const float* x, const float* scale, const float* zero, uint32_t levels,
                                      uint8_t* codes) {
  const float round = 12582912.0f, most = (float)levels;
  size_t i;
  for (i = 0; i < n; i++) {
    const float divisor = scale[i] > 0 ? scale[i] : FLT_MAX;
    float code = ((x[i] - zero[i]) / divisor + round) - round;
    code = code > 0 ? code : 0;
    code = code < most ? code : most;
    codes[i] = (uint8_t)(int32_t)code;
  }
}

SLUICE_BODY void sluice_dequantize_body(size_t n, const uint8_t* codes, const float* scale, const float* zero,
                                        float* x) {
  size_t i;
  for (i = 0; i < n; i++) {
    const float product = (float)codes[i] * scale[i];
    x[i] = product + zero[i];
  }
}

/* Eight directions of four rows at a time: 32 running sums, each added up in the order of the columns. */
SLUICE_BODY void sluice_project_body(size_t rows, size_t cols, size_t width, const float* x, const float* p, float* y) {
  size_t r, c, k, i, j;
  for (r = 0; r < rows; r += 4) {
    const size_t count = rows - r < 4 ? rows - r : 4;
    const float* row[4];
    for (i = 0; i < 4; i++) row[i] = x + (r + (i < count ? i : 0)) * cols;
    for (k = 0; k < width; k += 8) {
      float sum[4][8];
      memset(sum, 0, sizeof sum);
      for (c = 0; c < cols; c++)
        for (i = 0; i < 4; i++)
          for (j = 0; j < 8; j++) sum[i][j] += row[i][c] * p[c * width + k + j];
      for (i = 0; i < count; i++) memcpy(y + (r + i) * width + k, sum[i], sizeof sum[i]);
    }
  }
}

SLUICE_BODY void sluice_project_back_body(size_t rows, size_t cols, size_t width, const float* x, const float* y,
                                          float* p) {
  size_t r, c, k, i, j;
  for (c = 0; c < cols; c += 4) {
    const size_t count = cols - c < 4 ? cols - c : 4;
    for (k = 0; k < width; k += 8) {
      float sum[4][8];
      memset(sum, 0, sizeof sum);
      for (r = 0; r < rows; r++) {
        const float* at = x + r * cols + c;
        for (i = 0; i < 4; i++)
          for (j = 0; j < 8; j++) sum[i][j] += at[i < count ? i : 0] * y[r * width + k + j];
      }
      for (i = 0; i < count; i++) memcpy(p + (c + i) * width + k, sum[i], sizeof sum[i]);
    }
  }
}

static inline float sluice_fix_portable(size_t n, const float* x, const float* scale, int16_t* whole, float* rest) {
  return scale ? sluice_fix_body(n, x, scale, whole, rest) : sluice_fix_body(n, x, NULL, whole, rest);
}
static inline float sluice_split_portable(size_t n, const float* x, const float* scale, int8_t* digits) {
  return scale ? sluice_split_body(n, x, scale, digits) : sluice_split_body(n, x, NULL, digits);
}
static inline void sluice_settle_portable(size_t n, const float* x, const float* scale, float bias, const float* zero,
                                          float* y) {
  sluice_settle_body(n, x, scale, bias, zero, y);
}
static inline float sluice_inner_portable(size_t n, const float* a, const float* b) {
  return sluice_inner_body(n, a, b);
}
static inline void sluice_axpy_portable(size_t n, float w, const float* x, float* y) { sluice_axpy_body(n, w, x, y); }
static inline void sluice_inners_portable(size_t n, size_t count, const float* a, const float* x, size_t stride,
                                          float* sums) {
  size_t j;
  for (j = 0; j < count; j++) sums[j] = sluice_inner_body(n, a, x + j * stride);
}
static inline void sluice_axpys_portable(size_t n, size_t count, const float* w, const float* x, size_t stride,
                                         float* y) {
  size_t j;
  for (j = 0; j < count; j++) sluice_axpy_body(n, w[j], x + j * stride, y);
}
static inline void sluice_range_portable(size_t rows, size_t n, const float* x, float* low, float* high) {
  sluice_range_body(rows, n, x, low, high);
}
static inline void sluice_quantize_portable(size_t n, const float* x, const float* scale, const float* zero,
                                            uint32_t levels, uint8_t* codes) {
  sluice_quantize_body(n, x, scale, zero, levels, codes);
}
static inline void sluice_dequantize_portable(size_t n, const uint8_t* codes, const float* scale, const float* zero,
                                              float* x) {
  sluice_dequantize_body(n, codes, scale, zero, x);
}
static inline void sluice_project_portable(size_t rows, size_t cols, size_t width, const float* x, const float* p,
                                           float* y) {
  sluice_project_body(rows, cols, width, x, p, y);
}
static inline void sluice_project_back_portable(size_t rows, size_t cols, size_t width, const float* x, const float* y,
                                                float* p) {
  sluice_project_back_body(rows, cols, width, x, y, p);
}

static inline const sluice_kernels* sluice_kernels_portable(void) {
  static const sluice_kernels table = {"portable",
                                       sluice_pack_portable,
                                       sluice_unpack_portable,
                                       sluice_from_half_portable,
                                       sluice_to_half_portable,
                                       sluice_fix_portable,
                                       sluice_dot_portable,
                                       sluice_split_portable,
                                       sluice_mix_portable,
                                       sluice_settle_portable,
                                       sluice_inner_portable,
                                       sluice_axpy_portable,
                                       sluice_inners_portable,
                                       sluice_axpys_portable,
                                       sluice_range_portable,
                                       sluice_quantize_portable,
                                       sluice_dequantize_portable,
                                       sluice_project_portable,
                                       sluice_project_back_portable};
  return &table;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include "kernels_avx2.h"
#endif

/* The table named `isa`, or NULL if there is none or this machine cannot run it. */
static inline const sluice_kernels* sluice_kernels_named(const char* isa) {
  if (strcmp(isa, "portable") == 0) return sluice_kernels_portable();
#if defined(__x86_64__) && defined(__GNUC__)
  if (strcmp(isa, "avx2") == 0 && sluice_has_avx2()) return sluice_kernels_avx2();
#endif
  return NULL;
}

/* The fastest table that this machine can run, or the one that SLUICE_ISA in the environment names if it can run it.
 * All give the same bits. */
static inline const sluice_kernels* sluice_kernels_best(void) {
  static const char* const fastest_first[] = {"avx2", "portable"};
  const char* wanted = getenv("SLUICE_ISA");
  const sluice_kernels* table = wanted ? sluice_kernels_named(wanted) : NULL;
  size_t i;
  for (i = 0; table == NULL; i++) table = sluice_kernels_named(fastest_first[i]);
  return table;
}

#ifdef __cplusplus
}
#endif
#endif
