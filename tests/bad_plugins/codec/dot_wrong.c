/* Scores a thousandth too high. */
#include "good.h"

static sluice_status dot_higher(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  const sluice_status status = dot(self, tile, q, scores);
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t r = 0; r < tile->spans[s].rows; r++)
      for (uint32_t i = 0; i < tile->queries; i++) scores[i * tile->stride + column(&tile->spans[s], r)] *= 1.001f;
  return status;
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot_higher, accumulate)
