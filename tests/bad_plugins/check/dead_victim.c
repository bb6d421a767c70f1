/* Names the last slot, whoever lives there. */
#include "good.h"

static sluice_status last(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n > 1) victims[0] = lanes->capacity - 1;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, last)
