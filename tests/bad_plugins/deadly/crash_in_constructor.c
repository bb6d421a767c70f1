/* Ends with a segmentation fault before anybody called it. */
#include <signal.h>

#include "../common.h"

__attribute__((constructor)) static void crash(void) { raise(SIGSEGV); }
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 0, NULL, "test")
