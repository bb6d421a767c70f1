/* Nothing is wrong with this one, but what it says of itself is no plain text and no plain number. */
#include <math.h>

#include "../common.h"

static const sluice_evictor table = IDLE_EVICTOR;
static const sluice_param params[] = {
    {"agent", "choices that look\033[2J like numbers", "007|008", SLUICE_CHOICE, 0, {.i = 1}, {0}, {0}},
    {"wide", "one that no int64 holds", "123456789012345678901|9223372036854775807", SLUICE_CHOICE, 0, {0}, {0}, {0}},
    {"free", "no bounds", NULL, SLUICE_FLOAT, 0, {.f = INFINITY}, {.f = -INFINITY}, {.f = INFINITY}},
    {"text", "quotes", NULL, SLUICE_STRING, 0, {.s = "a\"b\033c"}, {0}, {0}},
    {"share", "of the budget", NULL, SLUICE_TOKENS, 0, {.i = SLUICE_PERCENT(50)}, {.i = 0}, {.i = 64}},
};
static const sluice_module module = {.interface_id = SLUICE_EVICTOR,
                                     .table = &table,
                                     .layout = SLUICE_EVICTOR_LAYOUT,
                                     .param_count = sizeof params / sizeof *params,
                                     .params = params,
                                     .name = "odd-texts",
                                     .summary = "clears\033[2J the screen",
                                     .version = "1\n2",
                                     .reference = "a paper\033[2J"};
static const sluice_module* const modules[] = {&module};
ENTRY(SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test")
