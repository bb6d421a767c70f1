// How a budget is shared out among layers: evenly, or as an evictor says (sluice.evictor.budget/1).
#pragma once

#include "core/cache/layer_cache.h"

namespace sluice {

// Sets `budget` of every layer whose evictor has shares of its own. Throws Error where they exceed a mean of `budget`
// tokens over the layers that the evictor serves, or leave a layer less than an interval.
void share_budget(const Policy& policy, uint32_t budget, LayerCache* layers);

}  // namespace sluice
