/* Loads, and aborts when it is asked what it has. */
#include <stdlib.h>

#include "../common.h"

const sluice_plugin* sluice_plugin_entry(void) { abort(); }
