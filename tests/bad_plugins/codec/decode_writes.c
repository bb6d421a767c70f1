/* Counts its calls in the block. */
#include "good.h"

static sluice_status decode_counting(const void* self, const sluice_block* block, const void* src, uint32_t first,
                                     uint32_t count, float* rows) {
  ((uint8_t*)src)[HEAD / 2]++;
  return decode(self, block, src, first, count, rows);
}

CODEC(create, plan, bound, scratch, encode, decode_counting, account, retain, dot, accumulate)
