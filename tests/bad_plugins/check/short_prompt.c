/* Carries a prompt over as if select() had been there before, which it is not when the prompt fits. */
#include "good.h"

static sluice_status note(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_status status = choose(self, state, lanes, n, victims);
  if (status == SLUICE_OK) notes_of(state)[0] = 1;
  return status;
}
static void carry(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                  const sluice_lanes* old_lanes, const uint32_t* slots) {
  resize(self, state, lanes, old, old_lanes, slots);
  if (old_lanes->prompt && !((const uint32_t*)old)[0])
    sluice_order_set(order_of(state, lanes, 0), 0, lanes->capacity - 1);
}
PUBLISH(create, destroy, wants, state_size, reset, carry, insert, observe, note)
