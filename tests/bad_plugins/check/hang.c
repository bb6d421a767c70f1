/* Never comes back. */
#include "good.h"

static volatile int forever = 1;
static void wait(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  while (forever) continue;
  observe(self, state, lanes, queries, signal);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, wait, choose)
