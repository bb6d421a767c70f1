/* Ends the program as if all were well. */
#include <stdlib.h>

#include "../common.h"

__attribute__((constructor)) static void leave(void) { _Exit(0); }
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 0, NULL, "test")
