// See multiply_peak.h. The instructions are written out: what a compiler makes of a loop is not a limit of the machine.
#include "core/bench/multiply_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sluice {
namespace {

constexpr uint32_t kRounds = 1 << 18;  // of a pass, a few milliseconds
constexpr double kSeconds = 0.2;       // in all: the best pass is one that nobody disturbed

struct Loop {
  double operations;  // of a round
  void (*run)(uint32_t rounds);
};
struct InstructionSet {
  const char* name;
  bool (*here)();
  Loop floats, integers;
};

// Enough independent sums to hide the latency of one, and few enough for the registers. Zeros do: no processor
// multiplies them faster, and none slower.

#if defined(__x86_64__)

using V128 = float __attribute__((vector_size(16)));
using V256 = float __attribute__((vector_size(32)));
using V512 = float __attribute__((vector_size(64)));

void float_sse(uint32_t rounds) {
  V128 sum[8] = {}, x = {}, product;
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 8
    for (V128& s : sum)
      asm volatile("movaps %2, %1\n\tmulps %2, %1\n\taddps %1, %0" : "+x"(s), "=&x"(product) : "x"(x));
}

void integer_sse(uint32_t rounds) {
  V128 sum[8] = {}, x = {}, product;
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 8
    for (V128& s : sum)
      asm volatile("movaps %2, %1\n\tpmaddwd %2, %1\n\tpaddd %1, %0" : "+x"(s), "=&x"(product) : "x"(x));
}

__attribute__((target("avx2,fma"))) void float_avx2(uint32_t rounds) {
  V256 sum[12] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
    for (V256& s : sum) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(s) : "x"(x));
}

// Products of few bits are summed in 16 bits before they are widened, which costs less than the rest.
__attribute__((target("avx2"))) void integer_avx2(uint32_t rounds) {
  V256 sum[8] = {}, x = {}, product;
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 8
    for (V256& s : sum) asm volatile("vpmaddubsw %2, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(s), "=&x"(product) : "x"(x));
}

__attribute__((target("avx512f"))) void float_avx512(uint32_t rounds) {
  V512 sum[16] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (V512& s : sum) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(s) : "v"(x));
}

__attribute__((target("avx512f,avx512vnni"))) void integer_avx512vnni(uint32_t rounds) {
  V512 sum[16] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (V512& s : sum) asm volatile("vpdpbusd %1, %1, %0" : "+v"(s) : "v"(x));
}

constexpr InstructionSet kSets[] = {
    {"portable", [] { return true; }, {8 * 2 * 4, float_sse}, {8 * 2 * 8, integer_sse}},
    {"avx2",
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     {12 * 2 * 8, float_avx2},
     {8 * 2 * 32, integer_avx2}},
    {"avx512vnni",
     [] { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"); },
     {16 * 2 * 16, float_avx512},
     {16 * 2 * 64, integer_avx512vnni}},
};

#elif defined(__aarch64__)

using V128 = float __attribute__((vector_size(16)));

void float_neon(uint32_t rounds) {
  V128 sum[16] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (V128& s : sum) asm volatile("fmla %0.4s, %1.4s, %1.4s" : "+w"(s) : "w"(x));
}

void integer_neon(uint32_t rounds) {
  V128 sum[16] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (V128& s : sum) asm volatile("smlal %0.4s, %1.4h, %1.4h" : "+w"(s) : "w"(x));
}

__attribute__((target("arch=armv8.2-a+dotprod"))) void integer_dotprod(uint32_t rounds) {
  V128 sum[16] = {}, x = {};
  for (uint32_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (V128& s : sum) asm volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(s) : "w"(x));
}

constexpr InstructionSet kSets[] = {
    {"portable", [] { return true; }, {16 * 2 * 4, float_neon}, {16 * 2 * 4, integer_neon}},
    // Kernels of this name run only where there are dot products.
    {"neon", [] { return true; }, {16 * 2 * 4, float_neon}, {16 * 2 * 16, integer_dotprod}},
};

#else

constexpr InstructionSet kSets[] = {{"portable", [] { return false; }, {}, {}}};

#endif

double best_rate(ThreadPool& pool, const Loop& loop) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  const auto begin = Clock::now();
  for (auto start = begin, end = begin; end - begin < std::chrono::duration<double>(kSeconds); start = end) {
    pool.each(pool.threads(), [&](uint32_t) { loop.run(kRounds); });
    end = Clock::now();
    const double seconds = std::chrono::duration<double>(end - start).count();
    best = std::max(best, loop.operations * kRounds * pool.threads() / seconds);
  }
  return best;
}

}  // namespace

MultiplyPeak multiply_peak(ThreadPool& pool, std::string_view instructions) {
  for (const InstructionSet& set : kSets)
    if (set.name == instructions && set.here()) return {best_rate(pool, set.floats), best_rate(pool, set.integers)};
  return {};
}

}  // namespace sluice
