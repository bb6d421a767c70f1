// The kernels of device/ as the entries of a module, under plain names (kernel_names.h), so that the plugin can load
// them when a device is opened, and nothing registers itself before.
#include "backends/cuda/device/attention.h"
#include "backends/cuda/device/matmul.h"
#include "backends/cuda/device/rows.h"
#include "backends/cuda/device/verbs.h"

// Entries have C names, which no template can give them.
#define SLUICE_ENTRY(name, Arguments, ...) \
  extern "C" __global__ void name(const sluice::cuda::Arguments a) { sluice::cuda::__VA_ARGS__(a); }
#define SLUICE_WEIGHTS(W)                                                            \
  SLUICE_ENTRY(exact_product_##W, ProductArgs, product<sluice::cuda::W, false>)      \
  SLUICE_ENTRY(to_halves_##W, DequantizeArgs, dequantize<sluice::cuda::W, uint16_t>) \
  SLUICE_ENTRY(to_floats_##W, DequantizeArgs, dequantize<sluice::cuda::W, float>)    \
  SLUICE_ENTRY(embed_##W, EmbedArgs, embed<sluice::cuda::W>)
#define SLUICE_CODED_WEIGHTS(W) \
  SLUICE_WEIGHTS(W)             \
  SLUICE_ENTRY(fast_product_##W, ProductArgs, product<sluice::cuda::W, true>)

SLUICE_ENTRY(quantize, QuantizeArgs, quantize)
SLUICE_ENTRY(halves, HalvesArgs, halves)
SLUICE_ENTRY(rmsnorm, NormArgs, rmsnorm)
SLUICE_ENTRY(silu_mul, PairArgs, silu_mul)
SLUICE_ENTRY(add, PairArgs, add)
SLUICE_ENTRY(gather, GatherArgs, gather)
SLUICE_ENTRY(rope, RopeArgs, rope)
SLUICE_ENTRY(kv_store, StoreArgs, kv_store)
SLUICE_ENTRY(attend, AttendArgs, attend)
SLUICE_ENTRY(merge, MergeArgs, merge)
SLUICE_ENTRY(gather_signal, SignalArgs, gather_signal)
SLUICE_ENTRY(score_rows, VerbArgs, score_rows)
SLUICE_ENTRY(soften, VerbArgs, soften)
SLUICE_ENTRY(gather_weights, VerbArgs, gather_weights)
SLUICE_ENTRY(mix_rows, VerbArgs, mix_rows)

SLUICE_WEIGHTS(F32)
SLUICE_WEIGHTS(F16)
SLUICE_WEIGHTS(BF16)
SLUICE_CODED_WEIGHTS(Q4_0)
SLUICE_CODED_WEIGHTS(Q4_1)
SLUICE_CODED_WEIGHTS(Q5_0)
SLUICE_CODED_WEIGHTS(Q5_1)
SLUICE_CODED_WEIGHTS(Q8_0)
SLUICE_CODED_WEIGHTS(IQ4_NL)
SLUICE_CODED_WEIGHTS(Q2_K)
SLUICE_CODED_WEIGHTS(Q3_K)
SLUICE_CODED_WEIGHTS(Q4_K)
SLUICE_CODED_WEIGHTS(Q5_K)
SLUICE_CODED_WEIGHTS(Q6_K)
