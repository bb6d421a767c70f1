/* Writes a byte past its state. */
#include "good.h"

static void overrun(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  observe(self, state, lanes, queries, signal);
  ((char*)state)[state_size(self, lanes)] = 1;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, overrun, choose)
