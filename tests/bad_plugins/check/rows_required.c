/* Works with rows only and is silent where there are none. */
#include "good.h"

static sluice_status without(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  (void)self, (void)state, (void)lanes, (void)n, (void)victims;
  return SLUICE_UNSUPPORTED;
}
static const sluice_evictor_rows rows_table = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_unseen};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_ROWS) == 0 ? &rows_table : NULL; }
EVICTOR_TABLE(create, destroy, wants, state_size, reset, resize, insert, observe, without);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
