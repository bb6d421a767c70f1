// See attention_figures.h.
#include "core/report/attention_figures.h"

#include <algorithm>

#include "core/report/statistics.h"

namespace sluice {
namespace {

MassKept summary(const std::vector<double>& lanes) {
  if (lanes.empty()) return {};
  RunningMean mean;
  for (const double m : lanes) mean.add(m);
  return {mean.mean(), *std::min_element(lanes.begin(), lanes.end())};
}

}  // namespace

double mean_error(const AttentionFigures& attention) {
  RunningMean mean;
  for (const double e : attention.output_error) mean.add(e);
  return mean.mean();
}

MassKept mass_kept(const AttentionFigures& attention) {
  std::vector<double> lanes;
  for (const auto& layer : attention.mass_kept) lanes.insert(lanes.end(), layer.begin(), layer.end());
  return summary(lanes);
}

MassKept mass_kept(const AttentionFigures& attention, size_t layer) {
  return layer < attention.mass_kept.size() ? summary(attention.mass_kept[layer]) : MassKept{};
}

}  // namespace sluice
