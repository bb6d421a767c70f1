// See sample_bytes.h.
#include "core/eval/sample_bytes.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"

namespace sluice {

Ledger checked_ledger(const SequenceCache& cache) {
  const Ledger ledger = cache.ledger();
  const uint64_t counted = ledger.total() - ledger[Kind::kPlugin];
  if (counted != cache.owner().live)
    throw Error(fmt::format("policy {}: the kinds of its cache add up to {} bytes, its allocations to {}",
                            cache.policy().name, counted, cache.owner().live),
                kExitFailed);
  return ledger;
}

void observe_bytes(const SequenceCache& cache, SampleBytes& bytes) {
  Ledger ledger = cache.seen() ? checked_ledger(cache) : Ledger{};
  ledger[Kind::kSnapshot] += cache.seen() ? cache.shared_bytes() : 0;
  const sluice_geometry& g = cache.policy().geometry;
  bytes.f16 = uint64_t(4) * g.layers * g.kv_heads * g.head_dim * cache.seen();
  bytes.kept = cache.seen() ? cache.tokens_kept() : 0;
  if (cache.policy().simulated()) return;  // F16 rows in place of what the codec would hold: no figures of its own
  bytes.by_kind = ledger.bytes;
  for (uint32_t k = 0; k < kKinds; k++) bytes.peak_by_kind[k] = std::max(bytes.peak_by_kind[k], ledger.bytes[k]);
  bytes.stored = ledger.total();
  // What lies in the shared prefix is the sample's as well: how much is shared changes no figure.
  bytes.peak = std::max(bytes.peak, cache.owner().peak + ledger[Kind::kPlugin] + ledger[Kind::kSnapshot]);
}

bool must_compress(const Policy& policy, uint32_t budget, uint32_t seen) {
  return std::any_of(policy.layers.begin(), policy.layers.end(), [&](const LayerPolicy& layer) {
    if (layer.evictor && seen > budget) return true;
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
      if ((layer.codec[side] || layer.simulated[side]) &&
          seen >= uint64_t(layer.plan[side].residual) + layer.plan[side].block_rows)
        return true;
    return false;
  });
}

void check_saved(const SequenceCache& cache, const SampleBytes& bytes) {
  if (cache.policy().simulated() || !must_compress(cache.policy(), cache.budget(), cache.seen())) return;
  constexpr Kind kRows[] = {Kind::kCodes,          Kind::kScales,      Kind::kLowRank, Kind::kOutlierValues,
                            Kind::kOutlierIndices, Kind::kRowPointers, Kind::kPadding, Kind::kTail,
                            Kind::kSideList,       Kind::kSnapshot};
  uint64_t rows = 0;
  for (const Kind kind : kRows) rows += bytes.by_kind[uint32_t(kind)];
  if (rows >= bytes.f16)
    throw Error(fmt::format("policy {}: its rows of {} tokens take {} bytes, an F16 cache takes {}: it compresses "
                            "nothing",
                            cache.policy().name, cache.seen(), rows, bytes.f16),
                kExitFailed);
}

}  // namespace sluice
