/* Breaks nothing: what the others differ from. */
#include "codec_good.h"

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate)
