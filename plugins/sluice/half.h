/* sluice/half.h - half floats (IEEE 754 binary16) one at a time, to nearest, ties to even. Header-only C99; arrays of
 * them are in sluice/kernels.h.
 */
#ifndef SLUICE_HALF_H
#define SLUICE_HALF_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline float sluice_from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7FFF, bits;
  float x;
  if (magnitude >= 0x7C00) {
    bits = sign | 0x7F800000 | (magnitude & 0x3FF) << 13; /* infinite or NaN */
  } else if (magnitude >= 0x0400) {
    bits = sign | ((magnitude << 13) + 0x38000000);
  } else {
    x = (float)magnitude * 5.9604644775390625e-8f; /* 2^-24 */
    memcpy(&bits, &x, sizeof bits);
    bits |= sign;
  }
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline uint16_t sluice_to_half(float x) {
  uint32_t bits, sign, magnitude, rounded;
  float small;
  memcpy(&bits, &x, sizeof bits);
  sign = bits >> 16 & 0x8000;
  magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7C00);
  if (magnitude < 0x38800000) { /* below 2^-14: adding 1/2 leaves a multiple of 2^-24, rounded, in the low bits */
    memcpy(&small, &magnitude, sizeof small);
    small += 0.5f;
    memcpy(&rounded, &small, sizeof rounded);
    return (uint16_t)(sign | (rounded - 0x3F000000));
  }
  rounded = magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1);
  return (uint16_t)(sign | rounded >> 13);
}

#ifdef __cplusplus
}
#endif
#endif
