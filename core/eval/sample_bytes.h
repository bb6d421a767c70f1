// The bytes of a sample while it runs, held against the arena's own count, and the checks that a policy which says
// that it compresses has done so in this very sample.
#pragma once

#include "core/cache/sequence_cache.h"
#include "core/eval/request.h"

namespace sluice {

// Throws Error (exit 1) if the cache's ledger is not its allocations to the byte.
Ledger checked_ledger(const SequenceCache& cache);

// Adds what the cache takes now to `bytes`: the current figures, and the peaks.
void observe_bytes(const SequenceCache& cache, SampleBytes& bytes);

// Whether a sequence that saw so many tokens must have lost or coded some: more than its budget, or as many as its
// codec's first block needs.
bool must_compress(const Policy& policy, uint32_t budget, uint32_t seen);

// Throws Error (exit 1) if the cache must have compressed, and its rows take no less than F16 rows of all tokens would.
void check_saved(const SequenceCache& cache, const SampleBytes& bytes);

}  // namespace sluice
