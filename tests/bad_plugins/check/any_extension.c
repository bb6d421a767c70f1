/* Offers everything, whatever it is. */
#include "good.h"

static const uint32_t nothing[64];
static const void* extension(const char* id) {
  (void)id;
  return nothing;
}
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
