/* Looks at a scale, which is not in the first 64 bytes, before it accounts for it. */
#include "good.h"

static void account_beyond(const void* self, const sluice_block* block, const void* src, sluice_account* itemised) {
  account(self, block, src, itemised);
  if (block->rows > 0 && !(scale_of(self, src, 0) > 1e-12f && scale_of(self, src, 0) < 1e6f)) itemised->scales = 0;
}

CODEC(create, plan, bound, scratch, encode, decode, account_beyond, retain, dot, accumulate)
