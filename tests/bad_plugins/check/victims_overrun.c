/* Names one victim more than it was asked for. */
#include "good.h"

static sluice_status one_more(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  victims[(size_t)lanes->count * n] = 0;
  return choose(self, state, lanes, n, victims);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, one_more)
