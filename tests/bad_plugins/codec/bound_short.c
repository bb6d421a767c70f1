/* Writes more than its bound(). */
#include "good.h"

static size_t bound_short(const void* self, uint32_t side, uint32_t rows) { return bound(self, side, rows) - 8; }

CODEC(create, plan, bound_short, scratch, encode, decode, account, retain, dot, accumulate)
