/* Gives the first layer more and takes it from nobody. */
#include "good.h"

static uint32_t layer(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  (void)self, (void)interval;
  return layer ? budget : budget + budget / 4;
}
static const sluice_evictor_budget budgets = {SLUICE_EVICTOR_BUDGET_LAYOUT, 0, layer, NULL, NULL};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL; }
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
