/* Built for an ABI to come. */
#include "common.h"

ENTRY(SLUICE_MAGIC, SLUICE_ABI + 1, sizeof(sluice_plugin), 0, NULL, "test")
