/* Writes its revision with a zero in front, which makes it another id. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE("sluice.evictor/01", &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL))
