// A cache's ledger as reports show it.
#pragma once

#include "core/cache/sequence_cache.h"
#include "core/report/result.h"

namespace sluice {

KvBytes kv_bytes(const SequenceCache& cache);
// Counters that the policy's modules reported, as ratios.
std::vector<Stat> policy_stats(const Policy& policy);
// Peak and current resident memory of this process, from the kernel.
uint64_t peak_rss_bytes();
uint64_t current_rss_bytes();

}  // namespace sluice
