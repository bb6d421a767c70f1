/* Lies nowhere. */
#include "good.h"

PUBLISH(GOOD_FUNCTIONS)
