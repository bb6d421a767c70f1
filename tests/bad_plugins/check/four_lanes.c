/* Has never met a model with more than four kv heads. */
#include "good.h"

static sluice_status first_four(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                uint32_t* victims) {
  const uint32_t unnamed = n && lanes->count > 4 ? victims[(size_t)4 * n] : 0;
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n && lanes->count > 4) victims[(size_t)4 * n] = unnamed;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, first_four)
