/* Now and then evicts the oldest, as a generator without a seed decides. */
#include "good.h"

static uint64_t generator = 88172645463325252u;
static sluice_status gamble(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  uint32_t lane;
  generator ^= generator << 13, generator ^= generator >> 7, generator ^= generator << 17;
  if (generator & 1) return choose(self, state, lanes, n, victims);
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n) return choose(self, state, lanes, n, victims);
  for (lane = 0; n > 0 && lane < lanes->count; lane++)
    sluice_order_take_lowest(order_of(state, lanes, lane), scores_of(state, lanes, lane), n, n,
                             victims + (size_t)lane * n);
  return SLUICE_OK;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, gamble)
