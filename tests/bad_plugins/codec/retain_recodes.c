/* Codes the first row that stays once more, into one step less. */
#include "good.h"

static sluice_status retain_recoding(const void* self, const sluice_block* block, void* src, const uint32_t* keep,
                                     uint32_t n, size_t* bytes) {
  const sluice_status status = retain(self, block, src, keep, n, bytes);
  if (n > 0) codes_of(self, src, 0)[1] ^= 1;
  return status;
}

CODEC(create, plan, bound, scratch, encode, decode, account, retain_recoding, dot, accumulate)
