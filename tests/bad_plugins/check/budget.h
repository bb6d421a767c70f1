/* What is sound about evictors that give each head its own count: every layer its share, and the lowest scores of each
 * lane. */
#ifndef SLUICE_BAD_PLUGINS_BUDGET_H
#define SLUICE_BAD_PLUGINS_BUDGET_H

#include "good.h"

static uint32_t layer(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  (void)self, (void)layer, (void)interval;
  return budget;
}
static sluice_status take(const void* self, void* state, const sluice_lanes* lanes, const uint32_t* counts,
                          const sluice_rows* rows, uint32_t* victims) {
  uint32_t lane;
  (void)self, (void)rows;
  for (lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    if (counts[lane])
      sluice_order_take_lowest(order, scores_of(state, lanes, lane), *order.live, counts[lane], victims);
    victims += counts[lane];
  }
  return SLUICE_OK;
}

#endif
