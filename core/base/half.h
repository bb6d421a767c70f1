// Half-precision conversions, exact and portable: round to nearest, ties to even. Kernels have their own
// vector forms; these serve loaders, the cache's slow paths and tests.
#pragma once

#include <bit>
#include <cstdint>

namespace sluice {

inline float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16;
  const uint32_t exponent = h >> 10 & 31u, mantissa = h & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float subnormal = float(mantissa) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

inline uint16_t float_to_half(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return uint16_t(sign | 0x7E00u);   // NaN
  if (magnitude >= 0x477FF000u) return uint16_t(sign | 0x7C00u);  // rounds beyond 65504
  if (magnitude < 0x38800000u) {  // below the smallest normal half: count multiples of 2^-24
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f + 0x1p23f;  // the addition rounds to even
    return uint16_t(sign | (std::bit_cast<uint32_t>(scaled) & 0x7FFu));
  }
  const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return uint16_t(sign | ((rounded >> 13) - (112u << 10)));
}

inline float bfloat_to_float(uint16_t b) { return std::bit_cast<float>(uint32_t(b) << 16); }

}  // namespace sluice
