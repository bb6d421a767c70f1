/* Scores that overflow become no numbers, and all comparisons fail. */
#include "good.h"

static void overflow(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  size_t i;
  observe(self, state, lanes, queries, signal);
  for (i = 0; i < (size_t)lanes->count * lanes->capacity; i++)
    if (scores_of(state, lanes, 0)[i] > 1e20f) notes_of(state)[0] = 1;
}
static sluice_status confused(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n > 1 && notes_of(state)[0]) victims[1] = victims[0];
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, overflow, confused)
