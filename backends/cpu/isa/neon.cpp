// The kernels for AArch64 with dot products (Armv8.2 and later). Compiled with that flag, so all of it has internal
// linkage but the table.
#include <arm_neon.h>

#include <cmath>

#include "backends/cpu/kernels.h"

namespace sluice::cpu {
namespace {

#include "backends/cpu/isa/vector_neon.h"
//
#include "backends/cpu/isa/row_kernels.h"
//
#include "backends/cpu/isa/attention_kernels.h"
#include "backends/cpu/isa/matmul_kernels.h"

}  // namespace

const Kernels kNeon{kName, &kMatmulKernels, &kRowKernels, &kAttentionKernels};

}  // namespace sluice::cpu
