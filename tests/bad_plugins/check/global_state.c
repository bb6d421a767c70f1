/* Counts insertions in a variable of the library, from zero in each reset(); every third eviction takes the oldest. */
#include "good.h"

static uint32_t insertions;
static sluice_status restart(const void* self, void* state, const sluice_lanes* lanes) {
  insertions = 0;
  return reset(self, state, lanes);
}
static void count(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                  const uint32_t* positions) {
  insertions++;
  insert(self, state, lanes, n, slots, positions);
}
static sluice_status alternate(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                               uint32_t* victims) {
  uint32_t lane;
  if (insertions % 3) return choose(self, state, lanes, n, victims);
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n) return choose(self, state, lanes, n, victims);
  for (lane = 0; n > 0 && lane < lanes->count; lane++)
    sluice_order_take_lowest(order_of(state, lanes, lane), scores_of(state, lanes, lane), n, n,
                             victims + (size_t)lane * n);
  return SLUICE_OK;
}
PUBLISH(create, destroy, wants, state_size, restart, resize, count, observe, alternate)
