/* sluice/gguf_types.h - the tensor types of GGUF files that Sluice reads: their numbers, sizes, block layouts and
 * exact values. The one home of these layouts; fast kernels that work on blocks directly are the backends' own.
 *
 * A row of a matrix is a sequence of blocks of consecutive columns. Numbers are little-endian, and nothing here asks
 * for alignment: the block structs are made of bytes, so a pointer into a mapped file may be cast to them.
 *
 * Values equal those of the Python package `gguf` bit for bit, provided that the compiler does not fuse a product
 * and a sum into one operation (-ffp-contract=off; nvcc: --fmad=false) where it could. A NaN scale makes every value
 * of its block NaN, with whatever payload.
 *
 * C99 and later, C++11 and later; needs no library.
 */
#ifndef SLUICE_GGUF_TYPES_H
#define SLUICE_GGUF_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "half.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The type numbers of the GGUF format. */
enum {
  SLUICE_GGUF_F32 = 0,
  SLUICE_GGUF_F16 = 1,
  SLUICE_GGUF_Q4_0 = 2,
  SLUICE_GGUF_Q4_1 = 3,
  SLUICE_GGUF_Q5_0 = 6,
  SLUICE_GGUF_Q5_1 = 7,
  SLUICE_GGUF_Q8_0 = 8,
  SLUICE_GGUF_Q2_K = 10,
  SLUICE_GGUF_Q3_K = 11,
  SLUICE_GGUF_Q4_K = 12,
  SLUICE_GGUF_Q5_K = 13,
  SLUICE_GGUF_Q6_K = 14,
  SLUICE_GGUF_IQ4_NL = 20,
  SLUICE_GGUF_BF16 = 30
};

typedef struct sluice_gguf_type {
  uint32_t type;
  const char* name;
  uint32_t block; /* elements per block; a row's length is a multiple of it */
  uint32_t bytes; /* per block */
} sluice_gguf_type;

/* All types, in the order of their sizes by family: indices from 0 until it returns NULL. */
static inline const sluice_gguf_type* sluice_gguf_type_at(uint32_t index) {
  static const sluice_gguf_type types[] = {
      {SLUICE_GGUF_F32, "F32", 1, 4},       {SLUICE_GGUF_F16, "F16", 1, 2},        {SLUICE_GGUF_BF16, "BF16", 1, 2},
      {SLUICE_GGUF_Q4_0, "Q4_0", 32, 18},   {SLUICE_GGUF_Q4_1, "Q4_1", 32, 20},    {SLUICE_GGUF_Q5_0, "Q5_0", 32, 22},
      {SLUICE_GGUF_Q5_1, "Q5_1", 32, 24},   {SLUICE_GGUF_Q8_0, "Q8_0", 32, 34},    {SLUICE_GGUF_Q2_K, "Q2_K", 256, 84},
      {SLUICE_GGUF_Q3_K, "Q3_K", 256, 110}, {SLUICE_GGUF_Q4_K, "Q4_K", 256, 144},  {SLUICE_GGUF_Q5_K, "Q5_K", 256, 176},
      {SLUICE_GGUF_Q6_K, "Q6_K", 256, 210}, {SLUICE_GGUF_IQ4_NL, "IQ4_NL", 32, 18}};
  return index < sizeof types / sizeof types[0] ? &types[index] : NULL;
}

/* NULL for a type that Sluice does not know. */
static inline const sluice_gguf_type* sluice_gguf_type_info(uint32_t type) {
  const sluice_gguf_type* info;
  uint32_t i;
  for (i = 0; (info = sluice_gguf_type_at(i)) != NULL; ++i) {
    if (info->type == type) return info;
  }
  return NULL;
}

/* Bytes of a row of `cols` numbers, a multiple of the type's block. The type must be known. */
static inline uint64_t sluice_gguf_row_bytes(uint32_t type, uint64_t cols) {
  const sluice_gguf_type* info = sluice_gguf_type_info(type);
  return cols / info->block * info->bytes;
}

/* ---- numbers ------------------------------------------------------------------------------------ */

static inline float sluice_float_from_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static inline float sluice_bf16_to_float(uint16_t b) { return sluice_float_from_bits((uint32_t)b << 16); }

static inline uint16_t sluice_load_u16(const uint8_t* bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }

/* The F16 number in two bytes of a block. */
static inline float sluice_load_f16(const uint8_t* bytes) { return sluice_from_half(sluice_load_u16(bytes)); }

/* ---- blocks of 32 ------------------------------------------------------------------------------- */

/* Nibbles of the 32-blocks: byte i holds the code of element i (low) and of element i + 16 (high). Fifth bits: bit i
 * of `high`, as a little-endian 32-bit number, belongs to element i. */

/* x = d (code - 8) */
typedef struct sluice_q4_0 {
  uint8_t d[2]; /* F16 */
  uint8_t codes[16];
} sluice_q4_0;

/* x = d code + m */
typedef struct sluice_q4_1 {
  uint8_t d[2], m[2]; /* F16 */
  uint8_t codes[16];
} sluice_q4_1;

/* x = d (code - 16) */
typedef struct sluice_q5_0 {
  uint8_t d[2];
  uint8_t high[4];
  uint8_t codes[16];
} sluice_q5_0;

/* x = d code + m */
typedef struct sluice_q5_1 {
  uint8_t d[2], m[2];
  uint8_t high[4];
  uint8_t codes[16];
} sluice_q5_1;

/* x = d code */
typedef struct sluice_q8_0 {
  uint8_t d[2];
  int8_t codes[32];
} sluice_q8_0;

/* x = d table[code]: sixteen unevenly spaced levels, finer near 0. Nibbles as in Q4_0. */
typedef struct sluice_iq4_nl {
  uint8_t d[2];
  uint8_t codes[16];
} sluice_iq4_nl;

static inline const int8_t* sluice_iq4_nl_table(void) {
  static const int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  return table;
}

/* ---- super-blocks of 256 ------------------------------------------------------------------------ */

/* Scales of sub-blocks are small integers, in units of one or two F16 numbers per super-block.
 *
 * Two-bit codes (Q2_K, Q3_K): elements come in halves of 128, a half is 32 bytes, and byte i of a half holds elements
 * i, i + 32, i + 64, i + 96 of it, from the lowest bits up. */

/* 16 sub-blocks of 16: x = (d scale) code - (dmin min); byte s of `scales` is scale (low nibble) and min (high). */
typedef struct sluice_q2_k {
  uint8_t scales[16];
  uint8_t codes[64];
  uint8_t d[2], dmin[2];
} sluice_q2_k;

/* 16 sub-blocks of 16: x = (d (scale - 32)) (code - 4), the code's third bit being bit e / 32 of byte e % 32 of `high`
 * for element e. Of the 6-bit scale s, the low four bits are a nibble of byte s % 8 (low nibbles: s < 8), the high two
 * are bits 2 (s / 4) and up of byte 8 + s % 4. */
typedef struct sluice_q3_k {
  uint8_t high[32];
  uint8_t codes[64];
  uint8_t scales[12];
  uint8_t d[2];
} sluice_q3_k;

/* 8 sub-blocks of 32: x = (d scale) code - (dmin min), scales and mins of 6 bits, see sluice_k_scale_min. Sub-blocks
 * 2p and 2p + 1 share 32 bytes of codes: low nibbles and high nibbles. */
typedef struct sluice_q4_k {
  uint8_t d[2], dmin[2];
  uint8_t scales[12];
  uint8_t codes[128];
} sluice_q4_k;

/* As Q4_K with a fifth bit: bit s of byte i of `high` is that of element i of sub-block s. */
typedef struct sluice_q5_k {
  uint8_t d[2], dmin[2];
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t codes[128];
} sluice_q5_k;

/* 16 sub-blocks of 16: x = (d scale) (code - 32). In a half of 128 elements, the low four bits of element i < 64 and of
 * element i + 64 are the nibbles of byte i of its 64 bytes of `low`; its 32 bytes of `high` hold two bits of each
 * element, arranged as two-bit codes are. */
typedef struct sluice_q6_k {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint8_t d[2];
} sluice_q6_k;

/* Scale and min of sub-block s in the 12 bytes of Q4_K and Q5_K. The first four scales are the low six bits of bytes
 * 0-3, the first four mins those of bytes 4-7. Of the last four, the low four bits are the nibbles of bytes 8-11
 * (scale low, min high) and the high two the top bits of bytes 0-3 and 4-7. */
static inline void sluice_k_scale_min(const uint8_t* scales, uint32_t s, uint32_t* scale, uint32_t* min) {
  if (s < 4) {
    *scale = scales[s] & 63u;
    *min = scales[s + 4] & 63u;
  } else {
    *scale = (scales[s + 4] & 15u) | (uint32_t)(scales[s - 4] >> 6) << 4;
    *min = (uint32_t)(scales[s + 4] >> 4) | (uint32_t)(scales[s] >> 6) << 4;
  }
}

/* The 6-bit scale (0..63, 32 means 0) of sub-block s in the 12 bytes of Q3_K. */
static inline uint32_t sluice_q3_k_scale(const uint8_t* scales, uint32_t s) {
  return ((uint32_t)(scales[s & 7u] >> (s < 8 ? 0 : 4)) & 15u) | ((uint32_t)(scales[8 + (s & 3u)] >> 2 * (s >> 2)) & 3u)
                                                                     << 4;
}

/* ---- values of one block ------------------------------------------------------------------------ */

static inline void sluice_q4_0_values(const sluice_q4_0* b, float* out) {
  const float d = sluice_load_f16(b->d);
  int i;
  for (i = 0; i < 16; ++i) {
    out[i] = d * (float)((b->codes[i] & 15) - 8);
    out[i + 16] = d * (float)((b->codes[i] >> 4) - 8);
  }
}

static inline void sluice_q4_1_values(const sluice_q4_1* b, float* out) {
  const float d = sluice_load_f16(b->d), m = sluice_load_f16(b->m);
  int i;
  for (i = 0; i < 16; ++i) {
    out[i] = d * (float)(b->codes[i] & 15) + m;
    out[i + 16] = d * (float)(b->codes[i] >> 4) + m;
  }
}

/* Element i's code, of five bits. */
static inline uint32_t sluice_q5_code(const uint8_t* high, const uint8_t* codes, uint32_t i) {
  const uint32_t nibble = (uint32_t)(codes[i & 15u] >> (i < 16 ? 0 : 4)) & 15u;
  return nibble | ((uint32_t)(high[i >> 3] >> (i & 7u)) & 1u) << 4;
}

static inline void sluice_q5_0_values(const sluice_q5_0* b, float* out) {
  const float d = sluice_load_f16(b->d);
  uint32_t i;
  for (i = 0; i < 32; ++i) out[i] = d * (float)((int32_t)sluice_q5_code(b->high, b->codes, i) - 16);
}

static inline void sluice_q5_1_values(const sluice_q5_1* b, float* out) {
  const float d = sluice_load_f16(b->d), m = sluice_load_f16(b->m);
  uint32_t i;
  for (i = 0; i < 32; ++i) out[i] = d * (float)sluice_q5_code(b->high, b->codes, i) + m;
}

static inline void sluice_q8_0_values(const sluice_q8_0* b, float* out) {
  const float d = sluice_load_f16(b->d);
  int i;
  for (i = 0; i < 32; ++i) out[i] = (float)b->codes[i] * d;
}

static inline void sluice_iq4_nl_values(const sluice_iq4_nl* b, float* out) {
  const float d = sluice_load_f16(b->d);
  const int8_t* table = sluice_iq4_nl_table();
  int i;
  for (i = 0; i < 16; ++i) {
    out[i] = d * (float)table[b->codes[i] & 15];
    out[i + 16] = d * (float)table[b->codes[i] >> 4];
  }
}

static inline void sluice_q2_k_values(const sluice_q2_k* b, float* out) {
  const float d = sluice_load_f16(b->d), dmin = sluice_load_f16(b->dmin);
  uint32_t s, i;
  for (s = 0; s < 16; ++s) {
    const float scale = d * (float)(b->scales[s] & 15), min = dmin * (float)(b->scales[s] >> 4);
    const uint8_t* codes = b->codes + 32 * (s >> 3) + 16 * (s & 1u);
    const uint32_t shift = 2 * ((s >> 1) & 3u);
    for (i = 0; i < 16; ++i) out[16 * s + i] = scale * (float)((codes[i] >> shift) & 3) - min;
  }
}

static inline void sluice_q3_k_values(const sluice_q3_k* b, float* out) {
  const float d = sluice_load_f16(b->d);
  uint32_t s, i;
  for (s = 0; s < 16; ++s) {
    const float scale = d * (float)((int32_t)sluice_q3_k_scale(b->scales, s) - 32);
    const uint8_t *codes = b->codes + 32 * (s >> 3) + 16 * (s & 1u), *high = b->high + 16 * (s & 1u);
    const uint32_t shift = 2 * ((s >> 1) & 3u), bit = s >> 1;
    for (i = 0; i < 16; ++i) {
      out[16 * s + i] = scale * (float)(((codes[i] >> shift) & 3) + 4 * ((high[i] >> bit) & 1) - 4);
    }
  }
}

static inline void sluice_q4_k_values(const sluice_q4_k* b, float* out) {
  const float d = sluice_load_f16(b->d), dmin = sluice_load_f16(b->dmin);
  uint32_t s, i, scale, min;
  for (s = 0; s < 8; ++s) {
    const uint8_t* codes = b->codes + 32 * (s >> 1);
    const uint32_t shift = 4 * (s & 1u);
    float ds, dm;
    sluice_k_scale_min(b->scales, s, &scale, &min);
    ds = d * (float)scale;
    dm = dmin * (float)min;
    for (i = 0; i < 32; ++i) out[32 * s + i] = ds * (float)((codes[i] >> shift) & 15) - dm;
  }
}

static inline void sluice_q5_k_values(const sluice_q5_k* b, float* out) {
  const float d = sluice_load_f16(b->d), dmin = sluice_load_f16(b->dmin);
  uint32_t s, i, scale, min;
  for (s = 0; s < 8; ++s) {
    const uint8_t* codes = b->codes + 32 * (s >> 1);
    const uint32_t shift = 4 * (s & 1u);
    float ds, dm;
    sluice_k_scale_min(b->scales, s, &scale, &min);
    ds = d * (float)scale;
    dm = dmin * (float)min;
    for (i = 0; i < 32; ++i) {
      out[32 * s + i] = ds * (float)(((codes[i] >> shift) & 15) + 16 * ((b->high[i] >> s) & 1)) - dm;
    }
  }
}

static inline void sluice_q6_k_values(const sluice_q6_k* b, float* out) {
  const float d = sluice_load_f16(b->d);
  uint32_t s, i;
  for (s = 0; s < 16; ++s) {
    const float scale = d * (float)b->scales[s];
    const uint8_t *low = b->low + 64 * (s >> 3) + 16 * (s & 3u), *high = b->high + 32 * (s >> 3) + 16 * (s & 1u);
    const uint32_t low_shift = 4 * ((s >> 2) & 1u), high_shift = 2 * ((s >> 1) & 3u);
    for (i = 0; i < 16; ++i) {
      out[16 * s + i] = scale * (float)(((low[i] >> low_shift) & 15) + 16 * ((high[i] >> high_shift) & 3) - 32);
    }
  }
}

/* ---- values of many blocks ---------------------------------------------------------------------- */

/* The n values (a multiple of the type's block) at `src` as floats. A type that Sluice does not know writes nothing. */
static inline void sluice_gguf_dequantize(uint32_t type, const void* src, size_t n, float* dst) {
  const uint8_t* bytes = (const uint8_t*)src;
  size_t i;
  switch (type) {
    case SLUICE_GGUF_F32:
      for (i = 0; i < n; ++i, bytes += 4) {
        dst[i] = sluice_float_from_bits(sluice_load_u16(bytes) | (uint32_t)sluice_load_u16(bytes + 2) << 16);
      }
      break;
    case SLUICE_GGUF_F16:
      for (i = 0; i < n; ++i) dst[i] = sluice_load_f16(bytes + 2 * i);
      break;
    case SLUICE_GGUF_BF16:
      for (i = 0; i < n; ++i) dst[i] = sluice_bf16_to_float(sluice_load_u16(bytes + 2 * i));
      break;
    case SLUICE_GGUF_Q4_0:
      for (i = 0; i < n / 32; ++i) sluice_q4_0_values((const sluice_q4_0*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_Q4_1:
      for (i = 0; i < n / 32; ++i) sluice_q4_1_values((const sluice_q4_1*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_Q5_0:
      for (i = 0; i < n / 32; ++i) sluice_q5_0_values((const sluice_q5_0*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_Q5_1:
      for (i = 0; i < n / 32; ++i) sluice_q5_1_values((const sluice_q5_1*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_Q8_0:
      for (i = 0; i < n / 32; ++i) sluice_q8_0_values((const sluice_q8_0*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_IQ4_NL:
      for (i = 0; i < n / 32; ++i) sluice_iq4_nl_values((const sluice_iq4_nl*)src + i, dst + 32 * i);
      break;
    case SLUICE_GGUF_Q2_K:
      for (i = 0; i < n / 256; ++i) sluice_q2_k_values((const sluice_q2_k*)src + i, dst + 256 * i);
      break;
    case SLUICE_GGUF_Q3_K:
      for (i = 0; i < n / 256; ++i) sluice_q3_k_values((const sluice_q3_k*)src + i, dst + 256 * i);
      break;
    case SLUICE_GGUF_Q4_K:
      for (i = 0; i < n / 256; ++i) sluice_q4_k_values((const sluice_q4_k*)src + i, dst + 256 * i);
      break;
    case SLUICE_GGUF_Q5_K:
      for (i = 0; i < n / 256; ++i) sluice_q5_k_values((const sluice_q5_k*)src + i, dst + 256 * i);
      break;
    case SLUICE_GGUF_Q6_K:
      for (i = 0; i < n / 256; ++i) sluice_q6_k_values((const sluice_q6_k*)src + i, dst + 256 * i);
      break;
    default:
      break;
  }
}

#ifdef __cplusplus
}
#endif
#endif /* SLUICE_GGUF_TYPES_H */
