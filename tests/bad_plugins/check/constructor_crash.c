/* Does not survive its own loading. */
#include "good.h"

__attribute__((constructor)) static void fall(void) { abort(); }
PUBLISH(GOOD_FUNCTIONS)
