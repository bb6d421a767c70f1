/* Splits what must go by rounding down, so that some stays. */
#include "budget.h"

static sluice_status split(const void* self, void* state, const sluice_lanes* lanes, const uint32_t* live,
                           uint32_t total, uint32_t* counts) {
  uint32_t lane;
  (void)self, (void)state, (void)live;
  for (lane = 0; lane < lanes->count; lane++) counts[lane] = (total - 1) / lanes->count;
  return SLUICE_OK;
}
static const sluice_evictor_budget budgets = {SLUICE_EVICTOR_BUDGET_LAYOUT, 1, layer, split, take};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL; }
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
