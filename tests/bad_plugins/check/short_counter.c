/* Counts insertions in ten bits, and names a victim twice when they are full. */
#include "good.h"

static void count(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                  const uint32_t* positions) {
  notes_of(state)[0]++;
  insert(self, state, lanes, n, slots, positions);
}
static sluice_status full(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (n && notes_of(state)[0] >= 1024) victims[0] = lanes->capacity;
  return status;
}
PUBLISH(create, destroy, wants, state_size, reset, resize, count, observe, full)
