/* Says hello when it is asked what it is. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
static const sluice_module module = MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL);
static const sluice_module* const modules[] = {&module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
const sluice_plugin* sluice_plugin_entry(void) {
  puts("hello from a plugin");
  return &plugin;
}
