/* Names nothing where the oldest key of the first lane is zero. */
#include "good.h"

static sluice_status with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                               const sluice_rows* rows, uint32_t* victims) {
  const sluice_host* host = ((const instance*)self)->host;
  const sluice_order order = order_of(state, lanes, 0);
  const uint32_t oldest = sluice_order_slot(order, 0);
  float key[256] = {1}, square = 0;
  uint32_t c;
  if (*order.live > 0 && rows->head_dim <= 256 && rows->read(rows, 0, SLUICE_KEY, 1, &oldest, key) != SLUICE_OK)
    return host->fail(host, SLUICE_DEVICE, "no key could be read");
  for (c = 0; c < 256; c++) square += key[c] * key[c];
  return square > 0 ? choose(self, state, lanes, n, victims) : SLUICE_OK;
}
static const sluice_evictor_rows rows_table = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, with_rows};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_ROWS) == 0 ? &rows_table : NULL; }
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
