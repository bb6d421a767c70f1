// The table of types: plain number formats here, block formats in the files beside this one.
#include "core/quant/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cctype>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/text.h"
#include "sluice/gguf_types.h"
#include "sluice/half.h"

namespace sluice {
namespace {

constexpr uint32_t kTypes[] = {SLUICE_GGUF_F32,  SLUICE_GGUF_F16,  SLUICE_GGUF_BF16, SLUICE_GGUF_Q8_0,
                               SLUICE_GGUF_Q6_K, SLUICE_GGUF_Q5_K, SLUICE_GGUF_Q5_1, SLUICE_GGUF_Q5_0,
                               SLUICE_GGUF_Q4_K, SLUICE_GGUF_Q4_1, SLUICE_GGUF_Q4_0, SLUICE_GGUF_IQ4_NL,
                               SLUICE_GGUF_Q3_K, SLUICE_GGUF_Q2_K};

void store_u16(uint8_t* to, uint16_t value) {
  to[0] = uint8_t(value & 255);
  to[1] = uint8_t(value >> 8);
}

uint16_t float_to_bfloat(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  return uint16_t((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);  // nearest, ties to even
}

void store_plain(uint32_t type, const float* x, size_t n, uint8_t* dst) {
  for (size_t i = 0; i < n; ++i) {
    if (type == SLUICE_GGUF_F16) {
      store_u16(dst + 2 * i, sluice_to_half(std::clamp(x[i], -65504.0f, 65504.0f)));
    } else if (type == SLUICE_GGUF_BF16) {
      constexpr float kLargest = 3.38953138925153547590e38f;  // of BF16
      store_u16(dst + 2 * i, float_to_bfloat(std::clamp(x[i], -kLargest, kLargest)));
    } else {
      const uint32_t bits = std::bit_cast<uint32_t>(x[i]);
      store_u16(dst + 4 * i, uint16_t(bits & 0xFFFFu));
      store_u16(dst + 4 * i + 2, uint16_t(bits >> 16));
    }
  }
}

}  // namespace

std::span<const uint32_t> quantizable_types() { return kTypes; }

uint32_t parse_weight_type(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  std::vector<std::string_view> names;
  for (const uint32_t type : kTypes) {
    names.push_back(sluice_gguf_type_info(type)->name);
    if (names.back() == upper) return type;
  }
  throw Error(fmt::format("there is no weight type \"{}\"{}; there are {}", printable(name), did_you_mean(upper, names),
                          join(names)));
}

bool is_quantized(uint32_t type) {
  return type != SLUICE_GGUF_F32 && type != SLUICE_GGUF_F16 && type != SLUICE_GGUF_BF16;
}

void quantize(uint32_t type, const float* x, size_t n, void* dst) {
  [[maybe_unused]] const sluice_gguf_type* info = sluice_gguf_type_info(type);
  assert(info != nullptr && n % info->block == 0);
  if (!is_quantized(type)) {
    store_plain(type, x, n, static_cast<uint8_t*>(dst));
  } else if (info->block == 32) {
    quant::quantize_small_blocks(type, x, n, dst);
  } else {
    quant::quantize_super_blocks(type, x, n, dst);
  }
}

}  // namespace sluice
