/* Its entry returns nothing. */
#include "common.h"

const sluice_plugin* sluice_plugin_entry(void) { return NULL; }
