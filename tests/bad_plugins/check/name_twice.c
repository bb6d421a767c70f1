/* Two modules, one name. */
#include "good.h"

EVICTOR_TABLE(GOOD_FUNCTIONS);
static const sluice_module one = MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL);
static const sluice_module other = MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL);
static const sluice_module* const modules[] = {&one, &other};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 2, modules, "test"};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
