/* sluice/part.h - for evictors made of another one (sluice.host.modules/1), optional: opens the part, and calls it as
 * the host would, with rows of K and V where it wants them. When to call it is the evictor's business. */
#ifndef SLUICE_PART_H
#define SLUICE_PART_H

#include <stdio.h>
#include <string.h>

#include "extensions.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lies in the owner's `self`. */
typedef struct sluice_evictor_part {
  const sluice_host* host;
  const sluice_host_modules* modules;
  sluice_part_module made;
  const sluice_evictor* table;
  const sluice_evictor_rows* rows;     /* NULL: it looks at no rows */
  const sluice_evictor_budget* budget; /* NULL: it has no budgets of its own */
} sluice_evictor_part;

/* A part's table under an id, if it was built against these headers; all begin with their layout number. */
static inline const void* sluice_evictor_part_extension(const sluice_module* module, const char* id, uint32_t layout) {
  const void* table = module->extension ? module->extension(id) : NULL;
  return table && *(const uint32_t*)table == layout ? table : NULL;
}

static inline void sluice_evictor_part_close(const sluice_evictor_part* part) {
  if (part->modules && part->made.module) part->modules->destroy(part->host, &part->made);
}

/* For create(): an evictor `name` with parameters as in TOML. `who` is the owner's name, for messages. */
static inline sluice_status sluice_evictor_part_open(const sluice_host* host, const char* who, const char* name,
                                                     const sluice_geometry* geometry, const char* parameters,
                                                     sluice_evictor_part* part) {
  char message[256];
  sluice_status status;
  memset(part, 0, sizeof *part);
  part->host = host;
  part->modules = (const sluice_host_modules*)host->extension(host, SLUICE_HOST_MODULES);
  if (!part->modules || part->modules->layout != SLUICE_HOST_MODULES_LAYOUT) {
    snprintf(message, sizeof message, "%s: is made of another evictor, and this host offers no %s", who,
             SLUICE_HOST_MODULES);
    return host->fail(host, SLUICE_UNSUPPORTED, message);
  }
  status = part->modules->create(host, SLUICE_EVICTOR, name, geometry, parameters, &part->made);
  if (status != SLUICE_OK) return status;
  part->table = (const sluice_evictor*)part->made.module->table;
  part->rows = (const sluice_evictor_rows*)sluice_evictor_part_extension(part->made.module, SLUICE_EVICTOR_ROWS,
                                                                         SLUICE_EVICTOR_ROWS_LAYOUT);
  part->budget = (const sluice_evictor_budget*)sluice_evictor_part_extension(part->made.module, SLUICE_EVICTOR_BUDGET,
                                                                             SLUICE_EVICTOR_BUDGET_LAYOUT);
  if (!sluice_evictor_part_extension(part->made.module, SLUICE_EVICTOR_WINDOW, SLUICE_EVICTOR_WINDOW_LAYOUT))
    return SLUICE_OK;
  snprintf(message, sizeof message, "%s: evictor %.100s wants a prompt's queries, which %s does not pass on", who, name,
           who);
  sluice_evictor_part_close(part);
  return host->fail(host, SLUICE_UNSUPPORTED, message);
}

static inline void sluice_evictor_part_inserted(const sluice_evictor_part* part, void* state, const sluice_lanes* lanes,
                                                uint32_t n, const uint32_t* slots, const uint32_t* positions,
                                                const sluice_rows* rows) {
  if (part->rows) part->rows->inserted(part->made.self, state, lanes, n, slots, positions, rows);
}

/* rows: NULL where the host offers none. */
static inline sluice_status sluice_evictor_part_select(const sluice_evictor_part* part, void* state,
                                                       const sluice_lanes* lanes, uint32_t n, const sluice_rows* rows,
                                                       uint32_t* victims) {
  return part->rows && rows ? part->rows->select(part->made.self, state, lanes, n, rows, victims)
                            : part->table->select(part->made.self, state, lanes, n, victims);
}

#ifdef __cplusplus
}
#endif
#endif
