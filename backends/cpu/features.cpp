// Chooses the kernel table by what the processor and the operating system support.
#include "backends/cpu/features.h"

#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

namespace sluice::cpu {

#if defined(__x86_64__)

namespace {

struct Features {
  bool avx2, avx512_vnni;
};

Features detect() {
  Features f{};
  __builtin_cpu_init();
  // The compiler's run-time library also asks the operating system whether it saves the wide registers.
  f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (f.avx2) {
    unsigned a, b, c, d;
    f.avx2 = __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);  // F16C
  }
  f.avx512_vnni = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vnni");
  return f;
}

}  // namespace

const char* processor_features() {
  const Features f = detect();
  return f.avx512_vnni ? "x86-64 with AVX2 and AVX-512 VNNI" : f.avx2 ? "x86-64 with AVX2" : "x86-64 without AVX2";
}

const char* processor_name() {
  static thread_local char name[49];
  unsigned words[12] = {};
  unsigned a, b, c, d;
  if (!__get_cpuid(0x80000000u, &a, &b, &c, &d) || a < 0x80000004u) return "x86-64";
  for (unsigned i = 0; i < 3; i++) {
    __get_cpuid(0x80000002u + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2, words + 4 * i + 3);
  }
  std::memcpy(name, words, 48);
  const char* first = name;
  while (*first == ' ') first++;
  return first;
}

const Kernels* find_kernels(Isa isa) {
  const Features f = detect();
  switch (isa) {
    case Isa::kAuto:
      return f.avx512_vnni ? &kAvx512Vnni : f.avx2 ? &kAvx2 : &kPortable;
    case Isa::kPortable:
      return &kPortable;
    case Isa::kAvx2:
      return f.avx2 ? &kAvx2 : nullptr;
    case Isa::kAvx512Vnni:
      return f.avx512_vnni ? &kAvx512Vnni : nullptr;
    case Isa::kNeon:
      return nullptr;
  }
  return nullptr;
}

#elif defined(__aarch64__)

namespace {

bool has_dot_products() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

}  // namespace

const char* processor_features() {
  return has_dot_products() ? "AArch64 with dot products" : "AArch64 without dot products";
}

const char* processor_name() { return "AArch64"; }

const Kernels* find_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAuto:
      return has_dot_products() ? &kNeon : &kPortable;
    case Isa::kPortable:
      return &kPortable;
    case Isa::kNeon:
      return has_dot_products() ? &kNeon : nullptr;
    case Isa::kAvx2:
    case Isa::kAvx512Vnni:
      return nullptr;
  }
  return nullptr;
}

#else

const char* processor_features() { return "no vector kernels known"; }
const char* processor_name() { return "CPU"; }
const Kernels* find_kernels(Isa isa) { return isa == Isa::kAuto || isa == Isa::kPortable ? &kPortable : nullptr; }

#endif

}  // namespace sluice::cpu
