/* Lies nowhere: gives each head its own count, and says that it serves no host that cannot. */
#include "budget.h"

static sluice_status even(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  (void)state, (void)lanes, (void)n, (void)victims;
  return ((const instance*)self)
      ->host->fail(((const instance*)self)->host, SLUICE_UNSUPPORTED, "serves only hosts that split by head");
}
static sluice_status split(const void* self, void* state, const sluice_lanes* lanes, const uint32_t* live,
                           uint32_t total, uint32_t* counts) {
  uint32_t lane;
  (void)self, (void)state, (void)live;
  for (lane = 0; lane < lanes->count; lane++)
    counts[lane] = total / lanes->count + (lane < total % lanes->count ? 1 : 0);
  return SLUICE_OK;
}
static const sluice_evictor_budget budgets = {SLUICE_EVICTOR_BUDGET_LAYOUT, 1, layer, split, take};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL; }
EVICTOR_TABLE(create, destroy, wants, state_size, reset, resize, insert, observe, even);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
