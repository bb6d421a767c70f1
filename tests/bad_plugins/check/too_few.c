/* Names no victims for its last lane. */
#include "good.h"

static sluice_status all_but(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const uint32_t last = lanes->count - 1;
  const uint32_t kept = n ? victims[(size_t)last * n] : 0;
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n) victims[(size_t)last * n] = kept;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, all_but)
