/* Takes memory in dot(). */
#include <stdlib.h>

#include "good.h"

static sluice_status dot_allocating(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  float* volatile sums = malloc(tile->queries * sizeof *sums);
  if (!sums) return SLUICE_NO_MEMORY;
  sums[0] = 0;
  free(sums);
  return dot(self, tile, q, scores);
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot_allocating, accumulate)
