/* Says that it is exact. */
#include "good.h"

static void plan_exact(const void* self, uint32_t side, sluice_codec_plan* wanted) {
  plan(self, side, wanted);
  wanted->exact = 1;
}

CODEC(create, plan_exact, bound, scratch, encode, decode, account, retain, dot, accumulate)
