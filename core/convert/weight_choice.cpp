// See weight_choice.h.
#include "core/convert/weight_choice.h"

#include <fmt/format.h>

#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

// The nearest type with smaller blocks, of the same bits or more.
uint32_t fallback_of(uint32_t type) {
  switch (type) {
    case SLUICE_GGUF_Q2_K:
      return SLUICE_GGUF_Q4_0;
    case SLUICE_GGUF_Q3_K:
      return SLUICE_GGUF_Q4_0;
    case SLUICE_GGUF_Q4_K:
      return SLUICE_GGUF_Q4_1;
    case SLUICE_GGUF_Q5_K:
      return SLUICE_GGUF_Q5_1;
    case SLUICE_GGUF_Q6_K:
      return SLUICE_GGUF_Q8_0;
    default:
      return SLUICE_GGUF_F16;
  }
}

double bits_per_number(uint32_t type) {
  const sluice_gguf_type& info = *sluice_gguf_type_info(type);
  return 8.0 * info.bytes / info.block;
}

}  // namespace

WeightChoice choose_weight_type(std::string_view name, bool vector, uint64_t cols, uint32_t type, bool tied,
                                bool pure) {
  if (vector) return {SLUICE_GGUF_F32, type == SLUICE_GGUF_F32 ? "" : "vector", false};
  WeightChoice choice{type, "", false};
  const bool output = name == "output.weight" || (tied && name == "token_embd.weight");
  if (output && !pure && bits_per_number(type) < bits_per_number(SLUICE_GGUF_Q6_K)) {
    choice.type = SLUICE_GGUF_Q6_K;
    choice.reason = "output matrix";
  }
  while (cols % sluice_gguf_type_info(choice.type)->block != 0) {
    const sluice_gguf_type& info = *sluice_gguf_type_info(choice.type);
    choice.reason = fmt::format("rows of {} do not divide by {}'s blocks of {}", cols, info.name, info.block);
    choice.type = fallback_of(choice.type);
    choice.fallback = true;
  }
  return choice;
}

uint32_t gguf_file_type(uint32_t type) {
  switch (type) {
    case SLUICE_GGUF_F32:
      return 0;
    case SLUICE_GGUF_F16:
      return 1;
    case SLUICE_GGUF_Q4_0:
      return 2;
    case SLUICE_GGUF_Q4_1:
      return 3;
    case SLUICE_GGUF_Q8_0:
      return 7;
    case SLUICE_GGUF_Q5_0:
      return 8;
    case SLUICE_GGUF_Q5_1:
      return 9;
    case SLUICE_GGUF_Q2_K:
      return 10;
    case SLUICE_GGUF_Q3_K:
      return 11;
    case SLUICE_GGUF_Q4_K:
      return 14;
    case SLUICE_GGUF_Q5_K:
      return 16;
    case SLUICE_GGUF_Q6_K:
      return 18;
    case SLUICE_GGUF_IQ4_NL:
      return 25;
    default:
      return 32;  // BF16
  }
}

}  // namespace sluice
