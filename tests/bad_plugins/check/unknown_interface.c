/* Is an evictor of a revision to come. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE("sluice.evictor/9", &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL))
