/* recent: keeps the first `sinks` tokens of a sequence and the newest ones (StreamingLLM's choice of tokens).
 * It looks at no attention, so attention runs undisturbed. */
#include "sluice/order.h"

typedef struct {
  const sluice_host* host;
  uint32_t sinks;
} recent;

enum { SINKS, PARAMS };

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  recent* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "recent: no memory for the instance");
  policy->host = host;
  policy->sinks = (uint32_t)params[SINKS].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((recent*)self)->host;
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
  const recent* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "recent", lanes, 0, policy->sinks);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  sluice_orders_move(state, lanes, old, old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  sluice_orders_insert(state, lanes, n, slots, positions, ((const recent*)self)->sinks);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* seen) {
  (void)self, (void)state, (void)lanes, (void)queries, (void)seen;
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const recent* policy = self;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_order_open(state, lanes, lane).live < n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "recent: asked for more victims than there are tokens besides sinks");
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    sluice_order_take_oldest(sluice_order_open(state, lanes, lane), n, victims + (size_t)lane * n);
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [SINKS] = {.name = "sinks",
               .doc = "first tokens of the sequence that never leave",
               .type = SLUICE_INT,
               .initial = {.i = 4},
               .min = {.i = 0},
               .max = {.i = 4096}},
};

static const sluice_module recent_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "recent",
    .summary = "keeps the first tokens and the newest ones",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2309.17453",
};
static const sluice_module* const modules[] = {&recent_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
