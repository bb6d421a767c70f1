/* my_evictor: a copy-me evictor. It keeps the first `sinks` tokens and evicts those that the last observation
 * saw least of. Replace what observe() keeps and choose() does by your idea; the rest is what every evictor needs. */
#include <sluice/order.h>

typedef struct {
  const sluice_host* host;
  uint32_t sinks;
} instance;

enum { SINKS, PARAMS };

/* State: float seen[count][capacity], what a slot's token got at last; then the order of age of each lane.
 * All of it lies in the host's block, holds no pointers, and starts as zeros. */
static float* seen_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return (float*)state + (size_t)lane * lanes->capacity;
}

static sluice_order order_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(seen_of(state, lanes, lanes->count), lanes, lane);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  instance* policy = (instance*)host->alloc(host, sizeof *policy, sizeof(void*));
  (void)geometry;
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "my_evictor: no memory for the instance");
  policy->host = host;
  policy->sinks = (uint32_t)params[SINKS].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((instance*)self)->host;
  host->free(host, self);
}

/* The sum of attention since the last observe(); policy.h lists the other signals. */
static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  memset(wanted, 0, sizeof *wanted);
  wanted->kind = SLUICE_SUM;
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return (size_t)lanes->count * lanes->capacity * sizeof(float) + sluice_order_bytes(lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const instance* policy = (const instance*)self;
  (void)state; /* zeros are an empty state */
  return sluice_check_kept(policy->host, "my_evictor", lanes, 0, policy->sinks);
}

/* The tokens get other slots in another block: carry everything over. */
static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  uint32_t lane;
  (void)self;
  for (lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    sluice_order to = order_of(state, lanes, lane), from = order_of(old, old_lanes, lane);
    sluice_order_move(to, from, map);
    sluice_order_move_numbers(from, map, seen_of(old, old_lanes, lane), seen_of(state, lanes, lane));
  }
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  const instance* policy = (const instance*)self;
  uint32_t lane, i;
  for (lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    for (i = 0; i < n; i++)
      if (positions[i] >= policy->sinks) sluice_order_append(order, slots[(size_t)lane * n + i]);
  }
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  (void)self, (void)queries;
  memcpy(state, signal, (size_t)lanes->count * lanes->capacity * sizeof(float));
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const instance* policy = (const instance*)self;
  uint32_t lane;
  if (n == 0) return SLUICE_OK;
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n)
      return policy->host->fail(policy->host, SLUICE_INVALID, "my_evictor: asked for more victims than may leave");
  for (lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    sluice_order_take_lowest(order, seen_of(state, lanes, lane), *order.live, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

/* What TOML, --set and `sluice plugin describe` know of it. */
static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};
static const sluice_param params[PARAMS] = {
    {"sinks", "first tokens of the sequence that never leave", NULL, SLUICE_INT, 0, {4}, {0}, {4096}},
};
static const sluice_module module = {SLUICE_EVICTOR,
                                     &table,
                                     SLUICE_EVICTOR_LAYOUT,
                                     PARAMS,
                                     params,
                                     "my_evictor",
                                     "evicts what the last queries looked at least",
                                     "0.1",
                                     NULL,
                                     NULL};
static const sluice_module* const modules[] = {&module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "my_evictor 0.1"};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
