/* Offers its table for every revision of an extension, whatever the host asks for. */
#include "good.h"

static void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                     const uint32_t* positions, const sluice_rows* rows) {
  (void)self, (void)state, (void)lanes, (void)n, (void)slots, (void)positions, (void)rows;
}
static sluice_status with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                               const sluice_rows* rows, uint32_t* victims) {
  (void)rows;
  return choose(self, state, lanes, n, victims);
}
static const sluice_evictor_rows rows_table = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, with_rows};
static const void* extension(const char* id) {
  return strncmp(id, SLUICE_EVICTOR_ROWS, strlen(SLUICE_EVICTOR_ROWS) - 1) == 0 ? &rows_table : NULL;
}
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
