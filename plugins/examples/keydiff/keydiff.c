/* keydiff: keys that point where all keys point leave first. A token's score is how far its key turns away from the
 * mean direction of the keys; attention is never looked at, so it runs fused and undisturbed. */
#include <math.h>
#include <sluice/extensions.h>
#include <sluice/kernels.h>
#include <sluice/order.h>

enum { MOST_DIM = 512, CHUNK = 16 }; /* keys are read CHUNK at a time */

typedef struct {
  const sluice_host* host;
  const sluice_kernels* kernels;
  int64_t recent; /* SLUICE_TOKENS */
} keydiff;

enum { RECENT, PARAMS };

/* State: the orders of the lanes, then float scores[capacity] of the lane at hand. */
static float* scores_of(const void* state, const sluice_lanes* lanes) {
  return (float*)((char*)state + sluice_order_bytes(lanes));
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return sluice_order_bytes(lanes) + lanes->capacity * sizeof(float);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  if (!host->extension(host, SLUICE_EVICTOR_ROWS))
    return host->fail(host, SLUICE_UNSUPPORTED, "keydiff: judges tokens by their keys, and this host shows it none");
  if (geometry->head_dim > MOST_DIM)
    return host->fail(host, SLUICE_UNSUPPORTED, "keydiff: serves heads of at most 512 numbers");
  keydiff* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "keydiff: no memory for the instance");
  policy->host = host;
  policy->kernels = sluice_kernels_best();
  policy->recent = params[RECENT].i;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((keydiff*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  *wanted = (sluice_signal){.kind = SLUICE_NO_SIGNAL};
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const keydiff* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "keydiff", lanes, sluice_tokens(policy->recent, lanes->budget), 0);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  sluice_orders_move(state, lanes, old, old_lanes, slots);
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  (void)self;
  sluice_orders_insert(state, lanes, n, slots, positions, 0);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  (void)self, (void)state, (void)lanes, (void)queries, (void)signal;
}

/* The keys at ranks first .. first + count of a lane, and 1 / length of each; 0 for a key that is zero. */
static sluice_status read_keys(const keydiff* policy, const sluice_rows* rows, uint32_t head, sluice_order order,
                               uint32_t first, uint32_t count, float* keys, float* inverse) {
  uint32_t slots[CHUNK] = {0}; /* for compilers that cannot see that read() takes no more than was filled */
  for (uint32_t i = 0; i < count; i++) slots[i] = sluice_order_slot(order, first + i);
  sluice_status status = rows->read(rows, head, SLUICE_KEY, count, slots, keys);
  for (uint32_t i = 0; status == SLUICE_OK && i < count; i++) {
    const float* key = keys + (size_t)i * rows->head_dim;
    float square = policy->kernels->inner(rows->head_dim, key, key);
    inverse[i] = square > 0 ? 1 / sqrtf(square) : 0;
  }
  return status;
}

/* scores[slot] -= cosine between each key of a head and the mean of the keys' directions. */
static sluice_status score_head(const keydiff* policy, const sluice_rows* rows, uint32_t head, sluice_order order,
                                float* scores) {
  float keys[CHUNK * MOST_DIM], inverse[CHUNK], mean[MOST_DIM] = {0};
  const uint32_t live = *order.live, dim = rows->head_dim;
  for (uint32_t first = 0; first < live; first += CHUNK) {
    uint32_t count = live - first < CHUNK ? live - first : CHUNK;
    sluice_status status = read_keys(policy, rows, head, order, first, count, keys, inverse);
    if (status != SLUICE_OK) return status;
    for (uint32_t i = 0; i < count; i++) policy->kernels->axpy(dim, inverse[i], keys + (size_t)i * dim, mean);
  }
  float length = sqrtf(policy->kernels->inner(dim, mean, mean));
  if (!(length > 0)) return SLUICE_OK; /* directions that cancel out prefer none */
  for (uint32_t first = 0; first < live; first += CHUNK) {
    uint32_t count = live - first < CHUNK ? live - first : CHUNK;
    sluice_status status = read_keys(policy, rows, head, order, first, count, keys, inverse);
    if (status != SLUICE_OK) return status;
    for (uint32_t i = 0; i < count; i++)
      scores[sluice_order_slot(order, first + i)] -=
          policy->kernels->inner(dim, keys + (size_t)i * dim, mean) * inverse[i] / length;
  }
  return SLUICE_OK;
}

/* Without rows the oldest leave. */
static sluice_status choose_by(const keydiff* policy, void* state, const sluice_lanes* lanes, uint32_t n,
                               const sluice_rows* rows, uint32_t* victims) {
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  float* scores = scores_of(state, lanes);
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_order_open(state, lanes, lane).live < (uint64_t)recent + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "keydiff: asked for more victims than there are tokens besides the recent ones");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_order_open(state, lanes, lane);
    memset(scores, 0, lanes->capacity * sizeof(float));
    const uint32_t heads = rows ? rows->kv_heads / lanes->count : 0; /* all, where a lane is a whole layer */
    for (uint32_t head = lane * heads; head < (lane + 1) * heads; head++) {
      sluice_status status = score_head(policy, rows, head, order, scores);
      if (status != SLUICE_OK) return status;
    }
    sluice_order_take_lowest(order, scores, *order.live - recent, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  return choose_by(self, state, lanes, n, NULL, victims);
}

static void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                     const uint32_t* positions, const sluice_rows* rows) {
  (void)self, (void)state, (void)lanes, (void)n, (void)slots, (void)positions, (void)rows;
}

static sluice_status choose_with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                      const sluice_rows* rows, uint32_t* victims) {
  return choose_by(self, state, lanes, n, rows, victims);
}

static const sluice_evictor_rows with_rows = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_with_rows};

static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_ROWS) == 0 ? &with_rows : NULL; }

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [RECENT] = {.name = "recent",
                .doc = "newest tokens that never leave: a number or a share of the budget",
                .type = SLUICE_TOKENS,
                .initial = {.i = 0},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
};

static const sluice_module keydiff_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "keydiff",
    .summary = "keeps the tokens whose keys differ most from the mean key",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2504.15364",
    .extension = extension,
};
static const sluice_module* const modules[] = {&keydiff_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
