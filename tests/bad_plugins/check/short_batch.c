/* A fast way for fewer than seven victims stops after four. */
#include "good.h"

static sluice_status hasty(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const uint32_t unnamed = n > 4 && n < 7 ? victims[4] : 0;
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n > 4 && n < 7) victims[4] = unnamed;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, hasty)
