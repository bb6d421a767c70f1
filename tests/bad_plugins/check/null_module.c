/* Lists a module that is not there. */
#include "good.h"

static const sluice_module* const modules[] = {NULL};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
