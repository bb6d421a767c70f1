/* Keeps an address in the block. */
#include "good.h"

static sluice_status encode_here(const void* self, const sluice_block* block, const float* rows, void* room, void* dst,
                                 size_t* bytes) {
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  memcpy((uint8_t*)dst + HEAD / 2, &dst, sizeof dst);
  return status;
}

CODEC(create, plan, bound, scratch, encode_here, decode, account, retain, dot, accumulate)
