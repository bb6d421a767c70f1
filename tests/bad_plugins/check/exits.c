/* Ends the program when it does not know what to do. */
#include "good.h"

static sluice_status leave(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  (void)self, (void)state, (void)lanes, (void)n, (void)victims;
  exit(0);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, leave)
