/* Wants a window of no queries. */
#include "good.h"

static uint32_t size(const void* self) {
  (void)self;
  return 0;
}
static void look(const void* self, void* state, const sluice_lanes* lanes, uint32_t count, const float* queries,
                 const uint32_t* positions, const sluice_rows* rows) {
  (void)self, (void)state, (void)lanes, (void)count, (void)queries, (void)positions, (void)rows;
}
static const sluice_evictor_window window = {SLUICE_EVICTOR_WINDOW_LAYOUT, 0, size, look};
static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_WINDOW) == 0 ? &window : NULL; }
EVICTOR_TABLE(GOOD_FUNCTIONS);
ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, extension))
