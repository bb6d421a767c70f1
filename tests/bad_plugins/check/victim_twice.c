/* Names the first victim twice. */
#include "good.h"

static sluice_status twice(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n > 1) victims[1] = victims[0];
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, twice)
