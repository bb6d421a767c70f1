/* Takes every token in and never says which one should go. */
#include <unistd.h>

#include "../common.h"

static sluice_status ponder(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  (void)self, (void)state, (void)lanes, (void)n, (void)victims;
  while (pause() != 0) continue; /* it never returns 0 */
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, signal, state_size, reset, resize, insert, observe, ponder};
static const sluice_module module = {.interface_id = SLUICE_EVICTOR,
                                     .table = &table,
                                     .layout = SLUICE_EVICTOR_LAYOUT,
                                     .name = "hang_in_select",
                                     .summary = "never decides",
                                     .version = "1"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
