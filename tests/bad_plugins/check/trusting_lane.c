/* Looks whether there are as many tokens as it is asked for in every lane but the last: with one lane, in none. */
#include "good.h"

static sluice_status trusting(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const uint32_t live = *order_of(state, lanes, lanes->count - 1).live;
  uint32_t i;
  if (lanes->count > 1 || live >= n) return choose(self, state, lanes, n, victims);
  choose(self, state, lanes, live, victims);
  for (i = live; i < n; i++) victims[i] = victims[0];
  return SLUICE_OK;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, trusting)
