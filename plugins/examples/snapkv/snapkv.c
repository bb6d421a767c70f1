/* snapkv: a prompt is seen through its last `window` queries: what they pay to a token, pooled over its neighbours, is
 * the token's score; the lowest leave, the window itself stays. Decoding goes on alike with the newest queries as a
 * running window. */
#include <sluice/attention.h>

typedef struct {
  const sluice_host* host;
  uint32_t window, kernel, pool;
} snapkv;

enum { WINDOW, KERNEL, POOL, PARAMS };

/* State: the window's attention, then float scores[capacity] of the lane at hand. */
typedef struct {
  sluice_attention paid;
  float* scores;
} view;

static view open_state(const void* state, const sluice_lanes* lanes) {
  view v;
  v.paid = sluice_attention_open(state, lanes);
  v.scores = (float*)((char*)state + sluice_attention_bytes(lanes));
  return v;
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return sluice_attention_bytes(lanes) + lanes->capacity * sizeof(float);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  if (params[KERNEL].i % 2 == 0)
    return host->fail(host, SLUICE_INVALID, "snapkv: kernel must be odd, so that a token stands in its middle");
  snapkv* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "snapkv: no memory for the instance");
  policy->host = host;
  policy->window = (uint32_t)params[WINDOW].i;
  policy->kernel = (uint32_t)params[KERNEL].i;
  policy->pool = (uint32_t)params[POOL].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((snapkv*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  const snapkv* policy = self;
  *wanted = (sluice_signal){.kind = SLUICE_SUM, .window = prompt ? policy->window : 0};
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const snapkv* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "snapkv", lanes, policy->window, 0);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  sluice_attention_resize(open_state(state, lanes).paid, lanes, open_state(old, old_lanes).paid, old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  (void)self, (void)positions;
  sluice_attention_insert(open_state(state, lanes).paid, lanes, n, slots);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  const snapkv* policy = self;
  sluice_attention_observe(open_state(state, lanes).paid, lanes, policy->window, queries, signal);
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const snapkv* policy = self;
  view v = open_state(state, lanes);
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_attention_order(v.paid, lanes, lane).live < (uint64_t)policy->window + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "snapkv: asked for more victims than there are tokens besides the window");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_attention_order(v.paid, lanes, lane);
    uint32_t candidates = *order.live - policy->window;
    sluice_attention_pool(v.paid, lanes, lane, candidates, policy->kernel, policy->pool, v.scores);
    sluice_order_take_lowest(order, v.scores, candidates, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [WINDOW] = {.name = "window",
                .doc = "last queries that score a token; as many newest tokens never leave",
                .type = SLUICE_INT,
                .initial = {.i = 32},
                .min = {.i = 1},
                .max = {.i = 4096}},
    [KERNEL] = {.name = "kernel",
                .doc = "neighbouring tokens that are pooled, an odd number; 1: none but itself",
                .type = SLUICE_INT,
                .initial = {.i = 5},
                .min = {.i = 1},
                .max = {.i = 255}},
    [POOL] = {.name = "pool",
              .doc = "what becomes of neighbours' scores",
              .choices = "mean|peak",
              .type = SLUICE_CHOICE,
              .initial = {.i = SLUICE_POOL_MEAN},
              .min = {.i = SLUICE_POOL_MEAN},
              .max = {.i = SLUICE_POOL_PEAK}},
};

static const sluice_module snapkv_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "snapkv",
    .summary = "keeps what the last queries look at, pooled over neighbours, and the most recent tokens",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2404.14469",
};
static const sluice_module* const modules[] = {&snapkv_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
