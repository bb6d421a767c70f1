/* Believes that the slots of victims are taken again at once, and evicts from one that is not. */
#include "good.h"

enum { FREED = 0 }; /* a note: slot + 1 of the last victim of lane 0 that was not named again */

static void refill(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  uint32_t i;
  for (i = 0; i < n; i++)
    if (slots[i] + 1 == notes_of(state)[FREED]) notes_of(state)[FREED] = 0;
  insert(self, state, lanes, n, slots, positions);
}
static sluice_status again(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (status != SLUICE_OK || n == 0) return status;
  if (notes_of(state)[FREED]) victims[0] = notes_of(state)[FREED] - 1;
  notes_of(state)[FREED] = victims[n - 1] + 1;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, refill, observe, again)
