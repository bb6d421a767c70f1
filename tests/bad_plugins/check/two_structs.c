/* Its entry point makes a new struct each time. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
static const sluice_module module = MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL);
static const sluice_module* const modules[] = {&module};
static const sluice_plugin plugins[2] = {{SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"},
                                         {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"}};
const sluice_plugin* sluice_plugin_entry(void) {
  static int calls;
  return &plugins[calls++ % 2];
}
