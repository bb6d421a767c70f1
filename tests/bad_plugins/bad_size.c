/* Its sluice_plugin has another size. */
#include "common.h"

ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin) + 8, 0, NULL, "test")
