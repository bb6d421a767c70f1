/* Forgets the last row of a block. */
#include "good.h"

static sluice_status accumulate_less(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t r = 0; r + 1 < tile->spans[s].rows; r++) add_row(self, tile, &tile->spans[s], r, weights, out);
  return SLUICE_OK;
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate_less)
