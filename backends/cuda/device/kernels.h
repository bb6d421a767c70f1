// Every kernel with its number, for those who make tables of them.
#pragma once

#include "backends/cuda/device/attention.h"
#include "backends/cuda/device/matmul.h"
#include "backends/cuda/device/rows.h"
#include "backends/cuda/device/verbs.h"

namespace sluice::cuda {

// Calls take(number, function) for the kernels of weights W, the index-th of kTypes.
template <class W, class Take>
void each_typed_kernel(uint32_t index, Take& take) {
  take(typed(Typed::kExactProduct, index), product<W, false>);
  if constexpr (!W::floats) take(typed(Typed::kFastProduct, index), product<W, true>);
  take(typed(Typed::kToHalves, index), dequantize<W, uint16_t>);
  take(typed(Typed::kToFloats, index), dequantize<W, float>);
  take(typed(Typed::kEmbed, index), embed<W>);
}

template <class... W, class Take>
void each_typed_kernel_of(Take& take) {
  uint32_t index = 0;
  (each_typed_kernel<W>(index++, take), ...);
}

template <class Take>
void each_kernel(Take take) {
  take(Kernel::kQuantize, quantize);
  take(Kernel::kHalves, halves);
  take(Kernel::kRmsnorm, rmsnorm);
  take(Kernel::kSiluMul, silu_mul);
  take(Kernel::kAdd, add);
  take(Kernel::kGather, gather);
  take(Kernel::kRope, rope);
  take(Kernel::kStore, kv_store);
  take(Kernel::kAttend, attend);
  take(Kernel::kMerge, merge);
  take(Kernel::kGatherSignal, gather_signal);
  take(Kernel::kScoreRows, score_rows);
  take(Kernel::kSoften, soften);
  take(Kernel::kGatherWeights, gather_weights);
  take(Kernel::kMixRows, mix_rows);
  each_typed_kernel_of<F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K>(take);
}

}  // namespace sluice::cuda
