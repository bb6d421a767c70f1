/* Writes beyond its scratch. */
#include "good.h"

static size_t scratch_short(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
  return scratch(self, side, rows, queries) - 8;
}

CODEC(create, plan, bound, scratch_short, encode, decode, account, retain, dot, accumulate)
