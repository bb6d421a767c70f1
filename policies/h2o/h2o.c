/* h2o: keeps the heavy hitters and the most recent tokens. A token's score is the attention that all queries of
 * a lane's query heads gave it since it came; of the tokens that are neither sinks nor recent, the lowest scores
 * leave, of equal ones the oldest. */
#include "sluice/order.h"

typedef struct {
  const sluice_host* host;
  int64_t recent; /* SLUICE_TOKENS */
  uint32_t sinks;
  float decay;
} h2o;

enum { RECENT, SINKS, DECAY, PARAMS };

/* State: float score[count][capacity] by slot, then the orders of the lanes, without sinks. */
static float* scores_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return (float*)state + (size_t)lane * lanes->capacity;
}

static sluice_order order_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(scores_of(state, lanes, lanes->count), lanes, lane);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  h2o* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "h2o: no memory for the instance");
  policy->host = host;
  policy->recent = params[RECENT].i;
  policy->sinks = (uint32_t)params[SINKS].i;
  policy->decay = (float)params[DECAY].f;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((h2o*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  *wanted = (sluice_signal){.kind = SLUICE_SUM};
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return (size_t)lanes->count * lanes->capacity * sizeof(float) + sluice_order_bytes(lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const h2o* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "h2o", lanes, sluice_tokens(policy->recent, lanes->budget), policy->sinks);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    sluice_order to = order_of(state, lanes, lane), from = order_of(old, old_lanes, lane);
    sluice_order_move(to, from, map);
    sluice_order_move_numbers(from, map, scores_of(old, old_lanes, lane), scores_of(state, lanes, lane));
  }
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  const h2o* policy = self;
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    float* scores = scores_of(state, lanes, lane);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t slot = slots[(size_t)lane * n + i];
      scores[slot] = 0;
      if (positions[i] >= policy->sinks) sluice_order_append(order, slot);
    }
  }
}

/* x^n by squaring: the same bits everywhere, which powf does not promise. */
static float power(float x, uint32_t n) {
  float result = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) result *= x;
  return result;
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* seen) {
  const h2o* policy = self;
  float* scores = state; /* the lanes' scores lie as the signal does */
  size_t count = (size_t)lanes->count * lanes->capacity;
  if (policy->decay == 1.0f) {
    for (size_t i = 0; i < count; i++) scores[i] += seen[i];
  } else {
    float keep = power(policy->decay, queries);
    for (size_t i = 0; i < count; i++) scores[i] = scores[i] * keep + seen[i];
  }
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const h2o* policy = self;
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < (uint64_t)recent + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "h2o: asked for more victims than there are tokens besides sinks and recent");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    sluice_order_take_lowest(order, scores_of(state, lanes, lane), *order.live - recent, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [RECENT] = {.name = "recent",
                .doc = "newest tokens that never leave: a number or a share of the budget",
                .type = SLUICE_TOKENS,
                .initial = {.i = SLUICE_PERCENT(50)},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
    [SINKS] = {.name = "sinks",
               .doc = "first tokens of the sequence that never leave",
               .type = SLUICE_INT,
               .initial = {.i = 0},
               .min = {.i = 0},
               .max = {.i = 4096}},
    [DECAY] = {.name = "decay",
               .doc = "what is left of a score after each query; 1 forgets nothing",
               .type = SLUICE_FLOAT,
               .initial = {.f = 1.0},
               .min = {.f = 0.0},
               .max = {.f = 1.0}},
};

static const sluice_module h2o_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "h2o",
    .summary = "keeps the tokens that got most attention, and the most recent ones",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2306.14048",
};
static const sluice_module* const modules[] = {&h2o_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
