// Under which name kernels.cu has each kernel, for who loads them as a module.
#pragma once

#include <cstdio>

#include "backends/cuda/arguments.h"

namespace sluice::cuda {

inline constexpr const char* kKernelNames[] = {"quantize",      "halves",     "rmsnorm",  "silu_mul",       "add",
                                               "gather",        "rope",       "kv_store", "attend",         "merge",
                                               "gather_signal", "score_rows", "soften",   "gather_weights", "mix_rows"};
static_assert(sizeof kKernelNames / sizeof kKernelNames[0] == size_t(Kernel::kTyped));
inline constexpr const char* kTypedNames[] = {"exact_product", "fast_product", "to_halves", "to_floats", "embed"};
inline constexpr const char* kTypeNames[] = {"F32",  "F16",    "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                             "Q8_0", "IQ4_NL", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};
static_assert(sizeof kTypeNames / sizeof kTypeNames[0] == kTypeCount);

// False where a type has no such kernel: floats are multiplied as they are.
inline bool kernel_name(Kernel kernel, char (&name)[64]) {
  const auto number = uint32_t(kernel), first = uint32_t(Kernel::kTyped);
  if (number < first) {
    std::snprintf(name, sizeof name, "%s", kKernelNames[number]);
    return true;
  }
  const uint32_t kind = (number - first) / kTypeCount, type = (number - first) % kTypeCount;
  std::snprintf(name, sizeof name, "%s_%s", kTypedNames[kind], kTypeNames[type]);
  const uint32_t gguf = kTypes[type];
  const bool floats = gguf == SLUICE_GGUF_F32 || gguf == SLUICE_GGUF_F16 || gguf == SLUICE_GGUF_BF16;
  return !(floats && Typed(kind) == Typed::kFastProduct);
}

}  // namespace sluice::cuda
