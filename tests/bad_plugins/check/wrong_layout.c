/* Was built against headers that nobody has. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT ^ 1u, NULL, 0, NULL))
