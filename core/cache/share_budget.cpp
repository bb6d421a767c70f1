// See share_budget.h.
#include "core/cache/share_budget.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace sluice {

void share_budget(const Policy& policy, uint32_t budget, LayerCache* layers) {
  for (const Instance& evictor : policy.instances) {
    uint64_t sum = 0, served = 0;
    for (uint32_t l = 0; l < policy.geometry.layers; l++) {
      const LayerPolicy& rules = policy.layers[l];
      if (rules.evictor != &evictor || !rules.budget) continue;
      LayerCache& layer = layers[l];
      layer.budget = evictor.call("budget.layer", rules.budget->layer, l, budget, policy.interval);
      if (layer.budget < policy.interval)
        throw Error(
            fmt::format("policy {}: evictor {}, budget.layer: gives layer {} a budget of {} tokens, less than "
                        "the interval of {}; lower [cache] interval or raise [cache] budget",
                        policy.name, evictor.module().name, l, layer.budget, policy.interval));
      sum += layer.budget, served++;
    }
    if (sum > served * budget)
      throw Error(fmt::format("policy {}: evictor {}, budget.layer: its budgets of {} layers add up to {} tokens per "
                              "lane, more than {} times {} = {}",
                              policy.name, evictor.module().name, served, sum, served, budget, served * budget),
                  kExitFailed);
  }
}

}  // namespace sluice
