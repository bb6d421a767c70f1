/* Promises rows ten times nearer than they come back. */
#include "good.h"

static void plan_better(const void* self, uint32_t side, sluice_codec_plan* wanted) {
  plan(self, side, wanted);
  wanted->tolerance = 0.001;
}

CODEC(create, plan_better, bound, scratch, encode, decode, account, retain, dot, accumulate)
