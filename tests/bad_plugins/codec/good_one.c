/* Breaks nothing: what the others differ from. */
#include "good.h"

CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate)
