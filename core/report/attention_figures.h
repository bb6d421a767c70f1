// Summaries of what was seen of attention, for tables that have no room for every layer and lane.
#pragma once

#include "core/report/result.h"

namespace sluice {

// Means over layers and lanes; unknown where nothing was looked at.
double mean_error(const AttentionFigures& attention);
struct MassKept {
  double mean = kUnknown, least = kUnknown;  // of all lanes
};
MassKept mass_kept(const AttentionFigures& attention);
// Of one layer's lanes.
MassKept mass_kept(const AttentionFigures& attention, size_t layer);

}  // namespace sluice
