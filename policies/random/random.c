/* random: evicts uniformly drawn tokens besides sinks and the most recent ones; what any other evictor has to
 * beat. Draws come from a counter kept in the state, so that runs repeat themselves and forks go on alike. */
#include "sluice/order.h"

typedef struct {
  const sluice_host* host;
  uint64_t seed;
  int64_t recent; /* SLUICE_TOKENS */
  uint32_t sinks;
} random_policy;

enum { SINKS, RECENT, SEED, PARAMS };

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  random_policy* policy = host->alloc(host, sizeof *policy, sizeof(uint64_t));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "random: no memory for the instance");
  policy->host = host;
  policy->seed = (uint64_t)params[SEED].i;
  policy->recent = params[RECENT].i;
  policy->sinks = (uint32_t)params[SINKS].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((random_policy*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  *wanted = (sluice_signal){.kind = SLUICE_NO_SIGNAL};
}

/* State: uint64_t drawn[count], the numbers each lane has used, then the orders of the lanes, without sinks. */
static void* orders_of(const void* state, const sluice_lanes* lanes) { return (uint64_t*)state + lanes->count; }

static sluice_order order_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(orders_of(state, lanes), lanes, lane);
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return lanes->count * sizeof(uint64_t) + sluice_order_bytes(lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const random_policy* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "random", lanes, sluice_tokens(policy->recent, lanes->budget), policy->sinks);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  memcpy(state, old, lanes->count * sizeof(uint64_t));
  sluice_orders_move(orders_of(state, lanes), lanes, orders_of(old, old_lanes), old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  sluice_orders_insert(orders_of(state, lanes), lanes, n, slots, positions, ((const random_policy*)self)->sinks);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* seen) {
  (void)self, (void)state, (void)lanes, (void)queries, (void)seen;
}

/* Spreads every bit of x over the result; a bijection, so different x never collide. */
static uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  return x ^ x >> 32;
}

/* The next number below `limit`, uniform but for 1 part in 2^32. */
static uint32_t draw(uint64_t stream, uint64_t* drawn, uint32_t limit) {
  uint64_t random = mix(stream + ++*drawn * 0x9E3779B97F4A7C15u);
  return (uint32_t)((random >> 32) * limit >> 32);
}

/* Floyd's way to draw a set: the i-th draw is among the first m - n + i + 1 ranks, and one that is already
 * taken stands for the last of them, which cannot be. */
static void take_random(sluice_order order, uint64_t stream, uint64_t* drawn, uint32_t m, uint32_t n,
                        uint32_t* victims) {
  uint32_t oldest = m;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t rank = draw(stream, drawn, m - n + i + 1);
    if (sluice_order_at(order, rank) == SLUICE_FREE) rank = m - n + i;
    if (rank < oldest) oldest = rank;
    victims[i] = sluice_order_remove(order, rank);
  }
  if (n) sluice_order_close(order, oldest, n);
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const random_policy* policy = self;
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < (uint64_t)recent + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "random: asked for more victims than there are tokens besides sinks and recent");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    uint64_t stream = mix(policy->seed ^ mix(((uint64_t)lanes->layer << 32 | lane) + 1));
    take_random(order, stream, (uint64_t*)state + lane, *order.live - recent, n, victims + (size_t)lane * n);
  }
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
    [RECENT] = {.name = "recent",
                .doc = "newest tokens that never leave: a number or a share of the budget",
                .type = SLUICE_TOKENS,
                .initial = {.i = 32},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
    [SEED] = {.name = "seed",
              .doc = "names the sequence of draws",
              .type = SLUICE_INT,
              .initial = {.i = 0},
              .min = {.i = 0},
              .max = {.i = INT64_MAX}},
};

static const sluice_module random_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "random",
    .summary = "evicts at random besides the first and the newest tokens; a baseline",
    .version = "1.0",
    .reference = NULL,
};
static const sluice_module* const modules[] = {&random_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
