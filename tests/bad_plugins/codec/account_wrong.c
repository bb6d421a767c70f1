/* Forgets the scales. */
#include "good.h"

static void account_less(const void* self, const sluice_block* block, const void* src, sluice_account* itemised) {
  account(self, block, src, itemised);
  itemised->scales = 0;
}

CODEC(create, plan, bound, scratch, encode, decode, account_less, retain, dot, accumulate)
