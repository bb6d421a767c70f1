/* Does not say what it is. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(NULL, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL))
