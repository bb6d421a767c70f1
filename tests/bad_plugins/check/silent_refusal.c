/* Refuses more victims than there are, and does not say why. */
#include "good.h"

static sluice_status mute(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  uint32_t lane;
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n) return SLUICE_INVALID;
  return choose(self, state, lanes, n, victims);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, mute)
