/* Takes low slot numbers for old tokens. */
#include "good.h"

static void rank_by_slot(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries,
                         const float* signal) {
  uint32_t lane, slot;
  (void)self, (void)queries, (void)signal;
  for (lane = 0; lane < lanes->count; lane++)
    for (slot = 0; slot < lanes->capacity; slot++) scores_of(state, lanes, lane)[slot] = (float)slot;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, rank_by_slot, choose)
