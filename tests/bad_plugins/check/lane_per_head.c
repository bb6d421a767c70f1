/* Counts lanes by the model's kv heads, not as it is told. */
#include "good.h"

static void per_head(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  observe(self, state, lanes, queries, signal);
  if (((const instance*)self)->kv_heads > lanes->count) ((char*)state)[state_size(self, lanes)] = 1;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, per_head, choose)
