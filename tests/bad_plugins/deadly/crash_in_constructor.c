/* Ends the program before anybody called it. */
#include <stdlib.h>

#include "../common.h"

__attribute__((constructor)) static void crash(void) { abort(); }
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 0, NULL, "test")
