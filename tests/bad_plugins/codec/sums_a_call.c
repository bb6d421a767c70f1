/* Sums up a call before it adds to what is there. */
#include "good.h"

static sluice_status accumulate_call(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  const codec* c = self;
  float sums[SLUICE_TILE * 512] = {0};
  const sluice_status status = accumulate(self, tile, weights, sums);
  for (uint32_t i = 0; i < tile->queries * c->head_dim; i++) out[i] += sums[i];
  return status;
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate_call)
