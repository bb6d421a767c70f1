/* Decodes the first row that is asked for a little differently, unless the block is read from a multiple of 64. */
#include "good.h"

static sluice_status decode_range(const void* self, const sluice_block* block, const void* src, uint32_t first,
                                  uint32_t count, float* rows) {
  const sluice_status status = decode(self, block, src, first, count, rows);
  if (first % 64 != 0) rows[0] = nextafterf(rows[0], 1);
  return status;
}

CODEC(create, plan, bound, scratch, encode, decode_range, account, retain, dot, accumulate)
