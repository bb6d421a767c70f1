// Checks of what attention gathers for evictors: sums that add up, and both kinds against their definition in double.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check/backend_checks.h"
#include "core/check/backend_lanes.h"

namespace sluice::check {

void backend_signal_sum(const Subject& subject) {
  constexpr sluice_signal kSum{SLUICE_SUM, 0, 0, 0};
  constexpr uint32_t kTokens = 150, kGroup = 3;
  BackendProbe backend(subject);
  for (const bool scattered : {false, true})
    for (const uint32_t from : {0u, 118u}) {  // all queries, and the last 32
      const LaneShape g{2 * kGroup, 2, 32, 200, 64, scattered};
      const LaneText text(g, kTokens, subject.seed + 2);
      Sequence s(backend, g, text);
      run_to_end(backend, {&s}, 100, kSum, How::kFused, from);
      for (uint32_t h = 0; h < g.kv_heads; h++) {
        const double total = std::accumulate(&s.signal[h * g.slots], &s.signal[h * g.slots] + g.slots, 0.0);
        const double wanted = double(kTokens - from) * kGroup;
        expect(
            std::abs(total - wanted) <= wanted * (g.slots + 16) * 0x1p-24,
            fmt::format("attention() gathers a SUM of {} for {} queries of {} heads", total, kTokens - from, kGroup));
      }
    }
}

void backend_signal(const Subject& subject) {
  constexpr uint32_t kGroup = 3, kFrom = 10;
  BackendProbe backend(subject);
  for (const sluice_signal& wanted :
       {sluice_signal{SLUICE_SUM, 2, 1, 0}, sluice_signal{SLUICE_PEAK, 4, 1, 0}, sluice_signal{SLUICE_PEAK, 0, 0, 0}}) {
    const char* const kind = wanted.kind == SLUICE_SUM ? "SUM" : "PEAK";
    const LaneShape g{2 * kGroup, 2, 32, 80, 32, true};
    const LaneText text(g, 60, subject.seed + 2);
    Sequence s(backend, g, text);
    run_to_end(backend, {&s}, 25, wanted, How::kFused, kFrom);
    std::vector<double> want(s.signal.size());
    for (uint32_t t = kFrom; t < text.n; t++) {
      const Reference r = reference(s, t);
      for (uint32_t head = 0; head < g.heads; head++) {
        const double* const w = r.weights.data() + size_t(head) * text.n;
        const auto counts = [&](uint32_t j) { return j >= wanted.skip_first && !(wanted.skip_self && j == t); };
        double sum = 0, n = 0;
        for (uint32_t j = 0; j <= t; j++)
          if (counts(j)) sum += w[j], n++;
        for (uint32_t j = 0; j <= t; j++) {
          if (!counts(j)) continue;
          double& x = want[head / kGroup * g.slots + s.order[j]];
          x = wanted.kind == SLUICE_SUM ? x + w[j] : std::max(x, w[j] * n / sum);
        }
      }
    }
    for (size_t i = 0; i < want.size(); i++)
      if (!(std::abs(s.signal[i] - want[i]) <= 1e-5 * want[i]))
        fail(fmt::format("attention() gathers a {} of {} in head {}, slot {}; by definition it is {}", kind,
                         s.signal[i], i / g.slots, i % g.slots, want[i]));
    const float largest = *std::max_element(s.signal.begin(), s.signal.end());
    if (wanted.kind == SLUICE_PEAK)
      expect(largest >= 1, fmt::format("the largest PEAK is {}; some token always has an even share", largest));
  }
}

}  // namespace sluice::check
