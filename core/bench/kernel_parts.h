// What the kernels of kernel_bench.h are made of: how large things are, and the two families.
#pragma once

#include "core/bench/kernel_bench.h"
#include "core/check/backend_probe.h"

namespace sluice {

struct KernelShape {
  uint32_t width;         // rows and columns of a matrix
  uint32_t prompt;        // rows of activations in a GEMM
  uint32_t slots, lanes;  // of a layer's cache; one query head each
  uint64_t working_set;   // bytes of copies, 0: one copy

  uint64_t copies(uint64_t bytes) const { return std::max<uint64_t>(1, (working_set + bytes - 1) / bytes); }
};
inline constexpr uint32_t kKernelHeadDim = 128;
inline constexpr uint64_t kKernelSeed = 1;

// `turn` counts calls: copy turn % copies is next.
inline size_t next_copy(size_t& turn, size_t copies) { return turn++ % copies; }

// Of the backend.
std::vector<KernelName> backend_kernels(const check::BackendProbe& backend, const KernelShape& shape, bool exact);
// None if there is none of this name.
KernelCall make_matmul(check::BackendProbe& backend, const KernelShape& shape, bool exact, const std::string& name);
KernelCall make_row_kernel(check::BackendProbe& backend, const KernelShape& shape, const std::string& name);
KernelCall make_attention_kernel(check::BackendProbe& backend, const KernelShape& shape, const std::string& name);

// Of a codec; `sides` NULL where the configuration names none.
struct KernelCodecs {
  const Instance* sides[2] = {nullptr, nullptr};
};
std::vector<KernelName> codec_kernels(const KernelCodecs& codecs, const KernelShape& shape);
KernelCall make_codec_kernel(const KernelCodecs& codecs, ThreadPool& pool, const KernelShape& shape,
                             const std::string& name);

}  // namespace sluice
