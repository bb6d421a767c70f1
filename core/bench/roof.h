// What this machine can do at most, measured by the tool itself: bytes read from memory and multiplications a second.
// It is measured before and after a run, because neighbours on a shared machine come and go: figures taken between two
// roofs that differ are void.
#pragma once

#include <string>
#include <string_view>

#include "core/bench/multiply_peak.h"

namespace sluice {

struct Roof {
  double bandwidth = kUnknown;  // bytes a second, by all threads
  MultiplyPeak multiply;
};

// `instructions`: the set whose multiplications count (multiply_peak.h).
Roof measure_roof(ThreadPool& pool, std::string_view instructions);

// Why a run between the two is void, as a sentence; empty if they agree within kRoofChange.
inline constexpr double kRoofChange = 0.1;
std::string roof_change(const Roof& before, const Roof& after);
// What shares are taken of: the mean of both, as far as both are known.
Roof roof_between(const Roof& before, const Roof& after);

// The largest cache of a processor, in bytes; 32 MiB where the system does not tell.
uint64_t last_level_cache();
// What to read so that caches do not help, and so that it fits into a quarter of what is free.
uint64_t roof_buffer_bytes(uint64_t cache, uint64_t memory_free);

}  // namespace sluice
