/* Offers its table for every revision of an extension, whatever the host asks for. */
#include "good.h"

static const sluice_evictor_rows rows_table = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_unseen};
static const void* extension(const char* id) {
  return strncmp(id, SLUICE_EVICTOR_ROWS, strlen(SLUICE_EVICTOR_ROWS) - 1) == 0 ? &rows_table : NULL;
}
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
