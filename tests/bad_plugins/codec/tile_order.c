/* Takes large tiles from the last row to the first. */
#include "good.h"

static sluice_status accumulate_backwards(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  if (tile->queries < 8) return accumulate(self, tile, weights, out);
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t r = tile->spans[s].rows; r-- > 0;) add_row(self, tile, &tile->spans[s], r, weights, out);
  return SLUICE_OK;
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate_backwards)
