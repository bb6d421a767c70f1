/* Its entry returns something else than a sluice_plugin. */
#include "common.h"

ENTRY(0xDEADBEEFu, SLUICE_ABI, sizeof(sluice_plugin), 0, NULL, "test")
