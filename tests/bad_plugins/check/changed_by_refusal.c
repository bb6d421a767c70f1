/* Has changed its state by the time it refuses. */
#include "good.h"

static sluice_status tried(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (status != SLUICE_OK) scores_of(state, lanes, 0)[0] += 1;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, tried)
