/* sluice/extensions.h - what an evictor may offer or use beyond sluice.evictor/1: rows of K and V, the last queries
 * of a prompt, budgets of its own per layer and head, and other evictors as its parts. Each is a frozen table of its
 * own, reached through sluice_module.extension (an evictor's) or host->extension (the host's), and begins with its
 * layout number. A host that does not know an id ignores it. An evictor that cannot work without the service says so in
 * create(), where host->extension(host, SLUICE_EVICTOR_ROWS) is NULL if the host does not know it, and else points to
 * the layout number that the host has for it. */
#ifndef SLUICE_EXTENSIONS_H
#define SLUICE_EXTENSIONS_H

#include "policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rows of K and V -------------------------------------------------------------------------- */

/* For evictors that judge tokens by their keys or values (KNorm, KeyDiff, R-KV). Where positions are counted anew among
 * the tokens kept, no rotation of K lasts, and the host refuses evictors that offer this table, the window below or
 * ragged budgets. */
#define SLUICE_EVICTOR_ROWS "sluice.evictor.rows/1" /* draft */
#define SLUICE_EVICTOR_ROWS_TEXT 0x595FAC43u
#define SLUICE_EVICTOR_ROWS_LAYOUT \
  (SLUICE_EVICTOR_ROWS_TEXT ^ SLUICE_FOLD2(sizeof(sluice_evictor_rows), sizeof(sluice_rows)))

/* The rows of one layer of one sequence, as attention reads them: dense ones as stored in F16, coded ones decoded.
 * Readable during the call that it was given to, by any thread. */
typedef struct sluice_rows {
  void *ctx; /* belongs to the host */
  uint32_t kv_heads, head_dim;
  /* out[i * head_dim + c]: the rows of one side of the tokens in slots[0 .. count) of a kv head; the slots hold live
   * tokens. With granularity = "layer" a slot id is the same in all kv heads. K is rotated as attention sees it.
   * Failures have been given to host->fail(); select() and split() pass the status on. */
  sluice_status (*read)(const struct sluice_rows *rows, uint32_t kv_head, uint32_t side, uint32_t count,
                        const uint32_t *slots, float *out);
} sluice_rows;

/* No member is NULL. [as the evictor's own functions] */
typedef struct sluice_evictor_rows {
  uint32_t layout;   /* SLUICE_EVICTOR_ROWS_LAYOUT */
  uint32_t reserved; /* 0 */
  /* Called after each insert() with the same tokens, before observe(). */
  void (*inserted)(const void *self, void *state, const sluice_lanes *lanes, uint32_t n, const uint32_t *slots,
                   const uint32_t *positions, const sluice_rows *rows);
  /* Called instead of the evictor's select(), which serves hosts without this extension. */
  sluice_status (*select)(const void *self, void *state, const sluice_lanes *lanes, uint32_t n,
                          const sluice_rows *rows, uint32_t *victims);
} sluice_evictor_rows;

/* ---- the last queries of a prompt ------------------------------------------------------------- */

/* For evictors that look at a prompt through its last queries and want more of them than a signal's sum
 * (sluice_signal.window): the queries themselves. */
#define SLUICE_EVICTOR_WINDOW "sluice.evictor.window/1" /* draft */
#define SLUICE_EVICTOR_WINDOW_TEXT 0x756C560Eu
#define SLUICE_EVICTOR_WINDOW_LAYOUT \
  (SLUICE_EVICTOR_WINDOW_TEXT ^ SLUICE_FOLD2(sizeof(sluice_evictor_window), sizeof(sluice_rows)))

#define SLUICE_WINDOW_MOST 256u /* queries that may be asked for */

typedef struct sluice_evictor_window {
  uint32_t layout;   /* SLUICE_EVICTOR_WINDOW_LAYOUT */
  uint32_t reserved; /* 0 */
  /* How many of a prompt's last queries it wants, 1 .. SLUICE_WINDOW_MOST. The same for the whole life of self. */
  uint32_t (*size)(const void *self);
  /* Called for a prompt after insert() and observe(), before select(): queries[h * count + i][head_dim] of query head
   * h and the i-th of the last `count` tokens (fewer than size() if the prompt is shorter), rotated, not scaled; the
   * query at positions[i] sees the tokens at positions up to its own. Query heads of a kv head are neighbours. `rows`
   * as in sluice_evictor_rows. A prompt that is fed in chunks comes to a state for decoding, and each chunk of two or
   * more tokens counts as a prompt. [as the evictor's own functions] */
  void (*observe)(const void *self, void *state, const sluice_lanes *lanes, uint32_t count, const float *queries,
                  const uint32_t *positions, const sluice_rows *rows);
} sluice_evictor_window;

/* ---- budgets per layer and head --------------------------------------------------------------- */

/* For evictors that give layers (PyramidKV) or heads of a layer (Ada-KV) different shares of the same total. */
#define SLUICE_EVICTOR_BUDGET "sluice.evictor.budget/1" /* draft */
#define SLUICE_EVICTOR_BUDGET_TEXT 0x9B843B6Fu
#define SLUICE_EVICTOR_BUDGET_LAYOUT \
  (SLUICE_EVICTOR_BUDGET_TEXT ^ SLUICE_FOLD2(sizeof(sluice_evictor_budget), sizeof(sluice_rows)))

typedef struct sluice_evictor_budget {
  uint32_t layout; /* SLUICE_EVICTOR_BUDGET_LAYOUT */
  uint32_t ragged; /* 1: split() and select() below are called instead of the evictor's select(), and lanes of one layer
                      may hold different counts, so resize() may also come while decoding, once all that came has been
                      inserted. 0: only layer() is called */
  /* Of a mean of `budget` tokens per lane over all layers, how many a lane of `layer` gets on average; it becomes
   * lanes->budget there. The host refuses budgets whose sum over layers exceeds layers * budget, or that are below
   * `interval`. Deterministic. */
  uint32_t (*layer)(const void *self, uint32_t layer, uint32_t budget, uint32_t interval);
  /* The lanes hold live[lane] tokens; `total` of them over all lanes must go. Writes how many leave each lane: their
   * sum is `total`, and at least one token stays in every lane. NULL unless ragged. */
  sluice_status (*split)(const void *self, void *state, const sluice_lanes *lanes, const uint32_t *live, uint32_t total,
                         uint32_t *counts);
  /* counts[lane] distinct live slots of each lane, lane after lane. `rows` as in sluice_evictor_rows. NULL unless
   * ragged. */
  sluice_status (*select)(const void *self, void *state, const sluice_lanes *lanes, const uint32_t *counts,
                          const sluice_rows *rows, uint32_t *victims);
} sluice_evictor_budget;

/* ---- other modules as parts ------------------------------------------------------------------- */

/* Host extension: an evictor made of others. It creates its parts in create(), keeps their states inside its own
 * (state_size() of the part, 64-byte aligned, zeroed at first as its own is), and passes calls on as it sees fit. */
#define SLUICE_HOST_MODULES "sluice.host.modules/1" /* draft */
#define SLUICE_HOST_MODULES_TEXT 0x586EC24Bu
#define SLUICE_HOST_MODULES_LAYOUT \
  (SLUICE_HOST_MODULES_TEXT ^ SLUICE_FOLD2(sizeof(sluice_host_modules), sizeof(sluice_part_module)))

typedef struct sluice_part_module {
  const sluice_module *module; /* of the asked interface; its table and extensions are as the host would use them */
  void *self;
} sluice_part_module;

typedef struct sluice_host_modules {
  uint32_t layout;   /* SLUICE_HOST_MODULES_LAYOUT */
  uint32_t reserved; /* 0 */
  /* An instance of the module `name` of an interface, such as SLUICE_EVICTOR, with parameters as they would stand in
   * TOML: "recent = \"50%\", sinks = 4"; NULL or "" for defaults. Failures have been given to host->fail(). A module
   * that would contain itself is refused. [create() only] */
  sluice_status (*create)(const sluice_host *host, const char *interface_id, const char *name,
                          const sluice_geometry *geometry, const char *parameters, sluice_part_module *part);
  /* [destroy(), or create() that fails later] */
  void (*destroy)(const sluice_host *host, const sluice_part_module *part);
} sluice_host_modules;

#ifdef __cplusplus
}
#endif
#endif
