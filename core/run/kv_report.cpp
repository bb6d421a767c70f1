// See kv_report.h: the ledger and the process as the kernel sees it, turned into figures.
#include "core/run/kv_report.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

namespace sluice {

KvBytes kv_bytes(const SequenceCache& cache) {
  const sluice_geometry& g = cache.policy().geometry;
  KvBytes kv;
  if (cache.policy().simulated()) {  // F16 rows in place of what the codec would hold: no figure of its own
    kv.stored = false, kv.tokens_kept = cache.tokens_kept();
    return kv;
  }
  // Before the first token there are no lanes to account for.
  const Ledger ledger = cache.seen() ? cache.ledger() : Ledger{};
  kv.bytes = ledger.total();
  const uint64_t elements = uint64_t(2) * g.layers * g.kv_heads * g.head_dim * cache.seen();
  kv.bytes_f16 = elements * 2;
  if (elements > 0) {
    kv.ratio = double(kv.bytes) / double(kv.bytes_f16);
    kv.bits_per_element = 8.0 * double(kv.bytes) / double(elements);
  }
  kv.tokens_kept = cache.tokens_kept();
  kv.peak_bytes = cache.owner().peak + ledger[Kind::kPlugin];
  for (uint32_t i = 0; i < kKinds; i++) kv.by_kind.push_back({std::string(kKindNames[i]), ledger.bytes[i]});
  for (uint32_t l = 0; l < g.layers; l++) {
    kv.lanes.emplace_back();
    for (uint32_t h = 0; h < g.kv_heads; h++) kv.lanes[l].push_back({cache.lane_rows(l, h), cache.lane_bytes(l, h)});
  }
  return kv;
}

std::vector<Stat> policy_stats(const Policy& policy) {
  std::vector<Counter> sums;
  for (const Instance& instance : policy.instances)
    for (const Counter& c : instance.counters()) {
      auto at = std::find_if(sums.begin(), sums.end(), [&](const Counter& s) { return s.name == c.name; });
      if (at == sums.end()) at = sums.insert(sums.end(), {c.name, 0, 0});
      at->numerator += c.numerator, at->denominator += c.denominator;
    }
  std::vector<Stat> stats;
  for (const Counter& c : sums)
    if (c.denominator != 0) stats.push_back({c.name, c.numerator / c.denominator});
  return stats;
}

// Not getrusage(): it may also remember the program that started this one.
uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  uint64_t kib = 0;
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:") && std::sscanf(line.c_str(), "VmHWM: %" SCNu64, &kib) == 1) return kib * 1024;
  return 0;
}

bool reset_peak_rss() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

}  // namespace sluice
