// See pair.h.
#include "core/bench/pair.h"

#include <algorithm>

#include "core/bench/foreign_cpu.h"
#include "core/bench/measure.h"
#include "core/report/statistics.h"

namespace sluice {

Slice trial_slice(Trial& trial) {
  const ForeignCpu foreign;
  Slice slice;
  while (slice.seconds < kSliceSeconds) {
    slice.seconds += trial.run();
    slice.tokens += double(trial.tokens());
  }
  slice.foreign = foreign.share();
  return slice;
}

PairFigures alternate(const Turn& first, const Turn& second, uint32_t pairs,
                      const std::function<void(uint32_t)>& pair_done) {
  PairFigures figures;
  first(), second();
  for (uint32_t tried = 0; figures.ratios.size() < pairs && tried < 3 * pairs; tried++) {
    const bool turned = tried % 2 == 1;
    Slice slices[2];
    slices[turned] = (turned ? second : first)();
    slices[!turned] = (turned ? first : second)();
    // What is not known is taken for quiet: there is no /proc to ask.
    if (slices[0].foreign >= kMostForeign || slices[1].foreign >= kMostForeign) {
      figures.dropped++;
      continue;
    }
    for (int side : {0, 1}) figures.speeds[side].push_back(slices[side].tokens / slices[side].seconds);
    figures.ratios.push_back(figures.speeds[0].back() / figures.speeds[1].back());
    if (pair_done) pair_done(uint32_t(figures.ratios.size()));
  }
  return figures;
}

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double least = *low, most = *high;
  return {percentile(values, 0.5), least, most};
}

std::string_view verdict_of(const std::vector<double>& ratios) {
  const Spread s = spread(ratios);
  if (ratios.size() >= kFewestPairs && s.low > 1) return "faster";
  if (ratios.size() >= kFewestPairs && s.high < 1) return "slower";
  return "not told apart";
}

}  // namespace sluice
