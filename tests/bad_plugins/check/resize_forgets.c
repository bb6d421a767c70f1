/* Comes out of resize() with the scores of nobody. */
#include "good.h"

static void forget(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  resize(self, state, lanes, old, old_lanes, slots);
  memset(scores_of(state, lanes, 0), 0, (size_t)lanes->count * lanes->capacity * sizeof(float));
}
PUBLISH(create, destroy, wants, state_size, reset, forget, insert, observe, choose)
