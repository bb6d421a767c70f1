/* Rounds by a generator that nobody seeded. */
#include <stdlib.h>

#include "good.h"

static sluice_status encode_rolling(const void* self, const sluice_block* block, const float* rows, void* room,
                                    void* dst, size_t* bytes) {
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  for (uint32_t r = 0; r < block->rows; r++) codes_of(self, dst, r)[0] ^= (int8_t)(rand() / 3 % 2);
  return status;
}

CODEC(create, plan, bound, scratch, encode_rolling, decode, account, retain, dot, accumulate)
