/* Chooses as if nothing had happened when rows could not be read. */
#include "good.h"

static sluice_status with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                               const sluice_rows* rows, uint32_t* victims) {
  const uint32_t oldest = sluice_order_slot(order_of(state, lanes, 0), 0);
  float row[256];
  if (*order_of(state, lanes, 0).live >= n && rows->head_dim <= 256) {
    rows->read(rows, 0, SLUICE_KEY, 1, &oldest, row);
  }
  return choose(self, state, lanes, n, victims);
}
static const sluice_evictor_rows rows_table = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, with_rows};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_ROWS) == 0 ? &rows_table : NULL; }
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
