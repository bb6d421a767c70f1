/* pyramidkv: lower layers keep more tokens than upper ones, in even steps, for the same total. Which tokens a layer
 * keeps is left to another evictor, snapkv unless told otherwise. */
#include <sluice/part.h>
#include <string.h>

typedef struct {
  const sluice_host* host;
  sluice_evictor_part part;
  uint32_t layers, base, beta;
} pyramidkv;

enum { PART, PARAMETERS, BASE, BETA, PARAMS };

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  pyramidkv* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "pyramidkv: no memory for the instance");
  policy->host = host;
  policy->layers = geometry->layers;
  policy->base = (uint32_t)params[BASE].i;
  policy->beta = (uint32_t)params[BETA].i;
  sluice_status status =
      sluice_evictor_part_open(host, "pyramidkv", params[PART].s, geometry, params[PARAMETERS].s, &policy->part);
  if (status != SLUICE_OK) {
    host->free(host, policy);
    return status;
  }
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  pyramidkv* policy = self;
  sluice_evictor_part_close(&policy->part);
  policy->host->free(policy->host, policy);
}

/* The state is the part's own: every call goes on to it. */

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  part->table->signal(part->made.self, prompt, wanted);
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  return part->table->state_size(part->made.self, lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  return part->table->reset(part->made.self, state, lanes);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  part->table->resize(part->made.self, state, lanes, old, old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  part->table->insert(part->made.self, state, lanes, n, slots, positions);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  const sluice_evictor_part* part = &((const pyramidkv*)self)->part;
  part->table->observe(part->made.self, state, lanes, queries, signal);
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  return sluice_evictor_part_select(&((const pyramidkv*)self)->part, state, lanes, n, NULL, victims);
}

static void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                     const uint32_t* positions, const sluice_rows* rows) {
  sluice_evictor_part_inserted(&((const pyramidkv*)self)->part, state, lanes, n, slots, positions, rows);
}

static sluice_status choose_with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                      const sluice_rows* rows, uint32_t* victims) {
  return sluice_evictor_part_select(&((const pyramidkv*)self)->part, state, lanes, n, rows, victims);
}

/* After an eviction every layer holds `base` tokens and its share of the rest, which falls in even steps from layer 0
 * to the last. The last gets rest / beta and the first as much above the mean as that is below it. Shares are rounded
 * down, so the layers' mean is at most the budget. */
static uint32_t layer_budget(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  const pyramidkv* policy = self;
  const uint64_t floor = (uint64_t)policy->base + interval - 1;
  if (policy->layers < 2 || floor >= budget) return budget;
  const uint64_t rest = budget - floor, least = rest / policy->beta, most = 2 * rest - least,
                 steps = policy->layers - 1;
  return (uint32_t)(floor + (most * steps - (most - least) * layer) / steps);
}

static const sluice_evictor_rows with_rows = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_with_rows};
static const sluice_evictor_budget budgets = {.layout = SLUICE_EVICTOR_BUDGET_LAYOUT, .layer = layer_budget};

static const void* extension(const char* id) {
  if (strcmp(id, SLUICE_EVICTOR_ROWS) == 0) return &with_rows;
  return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [PART] = {.name = "part",
              .doc = "the evictor that chooses tokens within a layer",
              .type = SLUICE_STRING,
              .initial = {.s = "snapkv"}},
    [PARAMETERS] = {.name = "parameters",
                    .doc = "its parameters as in TOML, such as \"window = 16, kernel = 7\"",
                    .type = SLUICE_STRING,
                    .initial = {.s = ""}},
    [BASE] = {.name = "base",
              .doc = "tokens that every layer keeps before the rest is shared; at least what the part never evicts",
              .type = SLUICE_INT,
              .initial = {.i = 32},
              .min = {.i = 1},
              .max = {.i = 1 << 24}},
    [BETA] = {.name = "beta",
              .doc = "how steep: the last layer gets the mean share divided by this; 1: all the same",
              .type = SLUICE_INT,
              .initial = {.i = 20},
              .min = {.i = 1},
              .max = {.i = 1 << 16}},
};

static const sluice_module pyramidkv_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "pyramidkv",
    .summary = "budgets that fall from layer to layer; another evictor chooses the tokens",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2406.02069",
    .extension = extension,
};
static const sluice_module* const modules[] = {&pyramidkv_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
