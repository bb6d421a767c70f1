/* Takes its scratch memory from the heap, each time. */
#include "good.h"

static void with_scratch(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries,
                         const float* signal) {
  char* volatile scratch = (char*)malloc(lanes->capacity);
  if (scratch) scratch[0] = 1;
  observe(self, state, lanes, queries, signal);
  free(scratch);
}
PUBLISH(create, destroy, wants, state_size, reset, resize, insert, with_scratch, choose)
