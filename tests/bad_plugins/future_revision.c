/* Provides a revision to come. */
#include "common.h"

static const sluice_evictor table = IDLE_EVICTOR;
static const sluice_module module = {.interface_id = "sluice.evictor/2",
                                     .table = &table,
                                     .layout = SLUICE_EVICTOR_LAYOUT,
                                     .name = "future_revision",
                                     .summary = "evicts nothing",
                                     .version = "1"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
