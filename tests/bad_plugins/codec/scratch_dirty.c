/* Takes what lay in scratch for zeros. */
#include "good.h"

static sluice_status encode_dirty(const void* self, const sluice_block* block, const float* rows, void* room, void* dst,
                                  size_t* bytes) {
  const uint8_t before = *(const uint8_t*)room;
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  codes_of(self, dst, 0)[0] ^= before & 1;
  return status;
}

CODEC(create, plan, bound, scratch, encode_dirty, decode, account, retain, dot, accumulate)
