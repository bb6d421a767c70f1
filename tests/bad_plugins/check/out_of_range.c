/* Counts slots from one. */
#include "good.h"

static sluice_status from_one(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  size_t i;
  for (i = 0; status == SLUICE_OK && i < (size_t)lanes->count * n; i++) victims[i] += lanes->capacity;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, from_one)
