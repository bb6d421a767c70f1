/* Knows a sequence by its first observation and counts its evictions in the library, so that a fork and the original
 * count together; every third eviction takes the oldest. */
#include "good.h"

enum { NAME, NAMED }; /* notes */

static uint32_t evictions[65536];
static void recognise(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  uint32_t* notes = notes_of(state);
  if (!notes[NAMED] && *order_of(state, lanes, 0).live > 0) {
    memcpy(&notes[NAME], &signal[sluice_order_slot(order_of(state, lanes, 0), 0)], sizeof(float));
    notes[NAMED] = 1;
    evictions[notes[NAME] % 65536] = 0;
  }
  observe(self, state, lanes, queries, signal);
}
static sluice_status count(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  uint32_t lane;
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n) return choose(self, state, lanes, n, victims);
  if (++evictions[notes_of(state)[NAME] % 65536] % 3) return choose(self, state, lanes, n, victims);
  for (lane = 0; n > 0 && lane < lanes->count; lane++)
    sluice_order_take_lowest(order_of(state, lanes, lane), scores_of(state, lanes, lane), n, n,
                             victims + (size_t)lane * n);
  return SLUICE_OK;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, recognise, count)
