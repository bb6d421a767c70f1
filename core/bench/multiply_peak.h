// How many multiplications a second this machine's threads can do with an instruction set: loops that do nothing else,
// one pair per set. Whose kernels use which set is not known here.
#pragma once

#include <string_view>

#include "core/plugins/thread_pool.h"
#include "core/report/result.h"

namespace sluice {

// Operations a second; a multiplication and the addition that follows it are two.
struct MultiplyPeak {
  double floats = kUnknown;    // of 32 bits
  double integers = kUnknown;  // of 8 bits, 16 where the set has no others
};

// `instructions`: "avx512vnni", "avx2", "neon" or "portable". Unknown for any other name, and where this processor does
// not have the set.
MultiplyPeak multiply_peak(ThreadPool& pool, std::string_view instructions);

}  // namespace sluice
