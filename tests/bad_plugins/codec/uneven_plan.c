/* Its largest block is no whole number of blocks. */
#include "good.h"

static void plan_uneven(const void* self, uint32_t side, sluice_codec_plan* wanted) {
  plan(self, side, wanted);
  wanted->max_rows = 2 * BLOCK_ROWS + 1;
}

CODEC(create, plan_uneven, bound, scratch, encode, decode, account, retain, dot, accumulate)
