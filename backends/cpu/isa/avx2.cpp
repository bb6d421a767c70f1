// The kernels for x86-64 with AVX2, FMA and F16C. Compiled with these flags, so it must not define anything that
// another file could share: all of it has internal linkage but the table.
#include <immintrin.h>

#include <cmath>

#include "backends/cpu/kernels.h"

namespace sluice::cpu {
namespace {

#include "backends/cpu/isa/vector_avx2.h"
//
#include "backends/cpu/isa/row_kernels.h"
//
#include "backends/cpu/isa/attention_kernels.h"
#include "backends/cpu/isa/matmul_kernels.h"

}  // namespace

const Kernels kAvx2{kName, &kMatmulKernels, &kRowKernels, &kAttentionKernels};

}  // namespace sluice::cpu
