// The kernels for x86-64 with AVX-512 VNNI: a panel's 16 rows are one register. Attention and rows of floats are those
// of AVX2. Compiled with these flags, so all of it has internal linkage but the table.
#include <immintrin.h>

#include <cmath>

#include "backends/cpu/kernels.h"

namespace sluice::cpu {
namespace {

#include "backends/cpu/isa/vector_avx512.h"
//
#include "backends/cpu/isa/row_kernels.h"
//
#include "backends/cpu/isa/attention_kernels.h"
#include "backends/cpu/isa/matmul_kernels.h"

}  // namespace

const Kernels kAvx512Vnni{kName, &kMatmulKernels, &kRowKernels, &kAttentionKernels};

}  // namespace sluice::cpu
