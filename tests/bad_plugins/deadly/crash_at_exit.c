/* Does all it should, and takes the program down when that has done its work. */
#include <stdlib.h>

#include "../common.h"

__attribute__((destructor)) static void crash(void) { abort(); }
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 0, NULL, "test")
