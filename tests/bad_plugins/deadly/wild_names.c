/* Its module's name lies where no memory is. */
#include "../common.h"

static const sluice_evictor table = IDLE_EVICTOR;
static const sluice_module module = {.interface_id = SLUICE_EVICTOR,
                                     .table = &table,
                                     .layout = SLUICE_EVICTOR_LAYOUT,
                                     .name = (const char*)16,
                                     .summary = "evicts nothing",
                                     .version = "1"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
