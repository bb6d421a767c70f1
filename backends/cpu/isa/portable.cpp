// The kernels in plain C++: the oracle of the other files, and the way for processors that none of them knows.
#include <cmath>

#include "backends/cpu/kernels.h"

namespace sluice::cpu {
namespace {

#include "backends/cpu/isa/vector_portable.h"
//
#include "backends/cpu/isa/row_kernels.h"
//
#include "backends/cpu/isa/attention_kernels.h"
#include "backends/cpu/isa/matmul_kernels.h"

}  // namespace

const Kernels kPortable{kName, &kMatmulKernels, &kRowKernels, &kAttentionKernels};

}  // namespace sluice::cpu
