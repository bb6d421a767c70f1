/* Chooses in a scratch list that all threads share. */
#include <sched.h>

#include "good.h"

static volatile uint32_t scratch[256];
static sluice_status crowd(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  const uint32_t all = lanes->count * n;
  uint32_t i;
  if (status != SLUICE_OK || all > 256) return status;
  for (i = 0; i < all; i++) scratch[i] = victims[i];
  sched_yield();
  for (i = 0; i < all; i++) victims[i] = scratch[i];
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, crowd)
