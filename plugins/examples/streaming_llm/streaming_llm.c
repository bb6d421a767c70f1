/* streaming_llm: keeps the first `sinks` tokens of a sequence and a window of the newest ones. What leaves is always
 * the oldest token behind the sinks; the window's length is a number of tokens, whatever the budget. */
#include <sluice/extensions.h>
#include <sluice/order.h>

typedef struct {
  const sluice_host* host;
  uint32_t sinks, window;
} streaming_llm;

enum { SINKS, WINDOW, PARAMS };

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  streaming_llm* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "streaming_llm: no memory for the instance");
  policy->host = host;
  policy->sinks = (uint32_t)params[SINKS].i;
  policy->window = (uint32_t)params[WINDOW].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((streaming_llm*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  *wanted = (sluice_signal){.kind = SLUICE_NO_SIGNAL};
}

/* State: the orders of the lanes, without sinks. */
static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return sluice_order_bytes(lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const streaming_llm* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "streaming_llm", lanes, policy->window, policy->sinks);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  sluice_orders_move(state, lanes, old, old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  sluice_orders_insert(state, lanes, n, slots, positions, ((const streaming_llm*)self)->sinks);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  (void)self, (void)state, (void)lanes, (void)queries, (void)signal;
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const streaming_llm* policy = self;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_order_open(state, lanes, lane).live < (uint64_t)policy->window + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "streaming_llm: asked for more victims than there are tokens besides sinks and window");
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    sluice_order_take_oldest(sluice_order_open(state, lanes, lane), n, victims + (size_t)lane * n);
  return SLUICE_OK;
}

/* With a window, a budget above sinks and window is not used up. */
static uint32_t layer_budget(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  const streaming_llm* policy = self;
  uint64_t wanted = (uint64_t)policy->sinks + policy->window + interval - 1;
  (void)layer;
  return policy->window && wanted < budget ? (uint32_t)wanted : budget;
}

static const sluice_evictor_budget budgets = {.layout = SLUICE_EVICTOR_BUDGET_LAYOUT, .layer = layer_budget};

static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL; }

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [SINKS] = {.name = "sinks",
               .doc = "first tokens of the sequence that never leave",
               .type = SLUICE_INT,
               .initial = {.i = 4},
               .min = {.i = 0},
               .max = {.i = 4096}},
    [WINDOW] = {.name = "window",
                .doc = "newest tokens that are kept, in tokens; 0: as many as the budget allows",
                .type = SLUICE_INT,
                .initial = {.i = 0},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
};

static const sluice_module streaming_llm_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "streaming_llm",
    .summary = "keeps the first tokens and a window of the newest ones",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2309.17453",
    .extension = extension,
};
static const sluice_module* const modules[] = {&streaming_llm_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
