/* Follows a pointer to nowhere. */
#include "good.h"

static sluice_status fall(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  volatile int* volatile nowhere = NULL;
  *nowhere = 1;
  return choose(self, state, lanes, n, victims);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, fall)
