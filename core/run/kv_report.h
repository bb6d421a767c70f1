// A cache's ledger as reports show it.
#pragma once

#include "core/cache/sequence_cache.h"
#include "core/report/result.h"

namespace sluice {

KvBytes kv_bytes(const SequenceCache& cache);
// Counters that the policy's modules reported, as ratios.
std::vector<Stat> policy_stats(const Policy& policy);
// Highest resident memory of this process, from the kernel; 0 if it is not known.
uint64_t peak_rss_bytes();
// Forgets the highest so far. False where the system does not let us (Linux before 4.0, a read-only /proc).
bool reset_peak_rss();

}  // namespace sluice
