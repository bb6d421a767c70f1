// What tests may see of the emulated GPU, and do to it.
#pragma once

#include <array>
#include <cstdint>

#include "backends/cuda/runtime.h"

namespace sluice::cuda {

struct EmulatedCounts {
  std::array<uint64_t, uint32_t(Kernel::kCount)> launches{};
  uint64_t gemms = 0, waits = 0, recorded = 0, replays = 0;
  uint64_t backed = 0;  // bytes
};
EmulatedCounts emulated_counts();
// The device has no more memory than that.
void limit_emulated_memory(uint64_t bytes);
// Whoever but kernels and copies touches device memory ends the process. Off at first: it takes time.
void guard_emulated_memory(bool guarded);
// From now on, or no longer, everything that is asked of the device fails.
void break_emulated_device(bool broken);

}  // namespace sluice::cuda
