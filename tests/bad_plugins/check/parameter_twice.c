/* Lists a parameter twice. */
#include "good.h"

static const sluice_param params[] = {
    {"sinks", "first tokens that never leave", NULL, SLUICE_INT, 0, {4}, {0}, {64}},
    {"sinks", "the same again", NULL, SLUICE_INT, 0, {4}, {0}, {64}},
};
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, params, 2, NULL))
