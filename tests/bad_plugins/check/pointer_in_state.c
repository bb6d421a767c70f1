/* Remembers where its scores are. */
#include "good.h"

static void locate(void* state, const sluice_lanes* lanes) {
  float* scores = scores_of(state, lanes, 0);
  memcpy(notes_of(state), &scores, sizeof scores);
}
static sluice_status remember(const void* self, void* state, const sluice_lanes* lanes) {
  locate(state, lanes);
  return reset(self, state, lanes);
}
static void carry(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                  const sluice_lanes* old_lanes, const uint32_t* slots) {
  resize(self, state, lanes, old, old_lanes, slots);
  locate(state, lanes);
}
static void follow(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  float* scores;
  size_t i;
  (void)self, (void)queries;
  memcpy(&scores, notes_of(state), sizeof scores);
  for (i = 0; i < (size_t)lanes->count * lanes->capacity; i++) scores[i] += signal[i];
}
PUBLISH(create, destroy, wants, state_size, remember, carry, insert, follow, choose)
