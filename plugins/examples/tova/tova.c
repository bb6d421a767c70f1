/* tova: what the last query looks at least leaves. A token's merit is what the newest queries paid to it, nothing
 * older; nothing is protected, neither sinks nor recent tokens. */
#include <sluice/order.h>

typedef struct {
  const sluice_host* host;
} tova;

/* State: float merit[count][capacity] by slot, then the orders of the lanes. */
static float* merit_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return (float*)state + (size_t)lane * lanes->capacity;
}

static sluice_order order_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(merit_of(state, lanes, lanes->count), lanes, lane);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry, (void)params;
  tova* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "tova: no memory for the instance");
  policy->host = host;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((tova*)self)->host;
  host->free(host, self);
}

/* Of a prompt only its last query; while decoding all, and the host calls observe() every interval. */
static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self;
  *wanted = (sluice_signal){.kind = SLUICE_SUM, .window = prompt ? 1 : 0};
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return (size_t)lanes->count * lanes->capacity * sizeof(float) + sluice_order_bytes(lanes);
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const tova* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "tova", lanes, 0, 0);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    sluice_order to = order_of(state, lanes, lane), from = order_of(old, old_lanes, lane);
    sluice_order_move(to, from, map);
    sluice_order_move_numbers(from, map, merit_of(old, old_lanes, lane), merit_of(state, lanes, lane));
  }
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  (void)self, (void)positions;
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    float* merit = merit_of(state, lanes, lane);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t slot = slots[(size_t)lane * n + i];
      merit[slot] = 0;
      sluice_order_append(order, slot);
    }
  }
}

/* Queries that came together see one another from their own position on: the newest token was seen by one, the one
 * before it by two. Their mean makes tokens comparable; with one query it is that query's attention. */
static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  (void)self;
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    float* merit = merit_of(state, lanes, lane);
    memcpy(merit, signal + (size_t)lane * lanes->capacity, lanes->capacity * sizeof(float));
    if (lanes->prompt) continue; /* the last query alone */
    for (uint32_t rank = 0; rank < *order.live; rank++) {
      uint32_t younger = *order.live - 1 - rank;
      merit[sluice_order_slot(order, rank)] /= (float)(younger < queries ? younger + 1 : queries);
    }
  }
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const tova* policy = self;
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n)
      return policy->host->fail(policy->host, SLUICE_INVALID, "tova: asked for more victims than there are tokens");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    sluice_order_take_lowest(order, merit_of(state, lanes, lane), *order.live, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_module tova_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .name = "tova",
    .summary = "evicts the tokens that the last queries looked at least",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2401.06104",
};
static const sluice_module* const modules[] = {&tova_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
