/* The modules that the plugins of this folder choose from; each offers the revisions FIRST to LAST. */
#include <stddef.h>

#include "selftest.h"

static inline int32_t answer_1(void) { return 1; }
static inline int32_t answer_2(int32_t more) { return 2 + more; }

#define MODULE(revision, table) \
  { SELFTEST_##revision, table, SELFTEST_##revision##_LAYOUT, 0, NULL, "skewed", "answers", "1", NULL, NULL }
static const selftest_1 table_1 = {answer_1};
static const selftest_2 table_2 = {answer_2};
static const sluice_module module_1 = MODULE(1, &table_1), module_2 = MODULE(2, &table_2),
                           module_3 = MODULE(3, &table_2); /* revision 3 is not known to anybody here */
static const sluice_module* const all[] = {&module_1, &module_2, &module_3};
static const sluice_plugin plugin = {SLUICE_MAGIC,     SLUICE_ABI,      sizeof(sluice_plugin),
                                     LAST - FIRST + 1, all + FIRST - 1, "test"};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
