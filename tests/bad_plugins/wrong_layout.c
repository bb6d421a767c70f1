/* Built against headers with other structs. */
#include "common.h"

static const sluice_evictor table = IDLE_EVICTOR;
static const sluice_module module = {.interface_id = SLUICE_EVICTOR,
                                     .table = &table,
                                     .layout = 0x12345678u,
                                     .name = "wrong_layout",
                                     .summary = "evicts nothing",
                                     .version = "1"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
