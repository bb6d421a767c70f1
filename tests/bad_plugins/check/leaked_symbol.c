/* Exports a helper beside the entry point. */
#include "good.h"

SLUICE_EXPORT int leaked_helper(void);
int leaked_helper(void) { return 1; }
PUBLISH(GOOD_FUNCTIONS)
