/* Clears the column behind a run. */
#include "good.h"

static sluice_status dot_clearing(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t i = 0; i < tile->queries && !tile->spans[s].slots; i++)
      scores[i * tile->stride + column(&tile->spans[s], tile->spans[s].rows)] = 0;
  return dot(self, tile, q, scores);
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot_clearing, accumulate)
