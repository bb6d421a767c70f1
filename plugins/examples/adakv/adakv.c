/* adakv: the heads of a layer share one budget. Where attention is spread over many tokens a head keeps more, where few
 * tokens take it all it keeps fewer, but never less than a floor. Which tokens a head keeps is left to another evictor,
 * snapkv unless told otherwise, that has a state of its own for every head. */
#include <sluice/attention.h>
#include <sluice/part.h>

typedef struct {
  const sluice_host* host;
  sluice_evictor_part part;
  uint32_t window, kernel;
  double floor;
} adakv;

enum { PART, PARAMETERS, WINDOW, KERNEL, FLOOR, PARAMS };

/* Tokens that an eviction leaves to every lane: the window, and a share of the mean. */
static uint32_t floor_of(const adakv* policy, const sluice_lanes* lanes) {
  const int64_t target = (int64_t)lanes->budget - lanes->interval + 1;
  const uint32_t share = target > 0 ? (uint32_t)(policy->floor * (double)target) : 0;
  return share > policy->window ? share : policy->window;
}

/* What the part sees: one lane, whose budget is what that lane may count on. */
static sluice_lanes one_lane(const adakv* policy, const sluice_lanes* lanes) {
  sluice_lanes one = *lanes;
  one.count = 1;
  one.budget = floor_of(policy, lanes) + lanes->interval - 1;
  return one;
}

/* State: the part's states, one per lane, each a multiple of 64 bytes; the window's attention; float
 * scores[count][capacity]. */
typedef struct {
  char* parts;
  size_t part_bytes;
  sluice_attention paid;
  float* scores;
} view;

static size_t part_bytes_of(const adakv* policy, const sluice_lanes* lanes) {
  const sluice_lanes one = one_lane(policy, lanes);
  return (policy->part.table->state_size(policy->part.made.self, &one) + 63) & ~(size_t)63;
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  return part_bytes_of(self, lanes) * lanes->count + sluice_attention_bytes(lanes) +
         (size_t)lanes->count * lanes->capacity * sizeof(float);
}

static view open_state(const adakv* policy, const void* state, const sluice_lanes* lanes) {
  view v;
  v.parts = (char*)state;
  v.part_bytes = part_bytes_of(policy, lanes);
  char* own = v.parts + v.part_bytes * lanes->count;
  v.paid = sluice_attention_open(own, lanes);
  v.scores = (float*)(own + sluice_attention_bytes(lanes));
  return v;
}

static void* part_state(const view* v, uint32_t lane) { return v->parts + v->part_bytes * lane; }

static float* scores_of(const view* v, const sluice_lanes* lanes, uint32_t lane) {
  return v->scores + (size_t)lane * lanes->capacity;
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  if (params[KERNEL].i % 2 == 0)
    return host->fail(host, SLUICE_INVALID, "adakv: kernel must be odd, so that a token stands in its middle");
  adakv* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "adakv: no memory for the instance");
  policy->host = host;
  policy->window = (uint32_t)params[WINDOW].i;
  policy->kernel = (uint32_t)params[KERNEL].i;
  policy->floor = params[FLOOR].f;
  sluice_status status =
      sluice_evictor_part_open(host, "adakv", params[PART].s, geometry, params[PARAMETERS].s, &policy->part);
  if (status != SLUICE_OK) {
    host->free(host, policy);
    return status;
  }
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  adakv* policy = self;
  sluice_evictor_part_close(&policy->part);
  policy->host->free(policy->host, policy);
}

/* What the part wants; the same numbers tell where attention is spread. A part that wants none gets none. */
static sluice_signal signal_of_part(const adakv* policy, uint32_t prompt) {
  sluice_signal wanted = {.kind = SLUICE_NO_SIGNAL};
  policy->part.table->signal(policy->part.made.self, prompt, &wanted);
  return wanted;
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  const adakv* policy = self;
  *wanted = signal_of_part(policy, prompt);
  if (wanted->kind == SLUICE_NO_SIGNAL)
    *wanted = (sluice_signal){.kind = SLUICE_SUM, .window = prompt ? policy->window : 0};
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const adakv* policy = self;
  const view v = open_state(policy, state, lanes);
  const sluice_lanes one = one_lane(policy, lanes);
  sluice_status status = sluice_check_kept(policy->host, "adakv", lanes, policy->window, 0);
  for (uint32_t lane = 0; status == SLUICE_OK && lane < lanes->count; lane++)
    status = policy->part.table->reset(policy->part.made.self, part_state(&v, lane), &one);
  return status;
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  const adakv* policy = self;
  const view to = open_state(policy, state, lanes), from = open_state(policy, old, old_lanes);
  const sluice_lanes one = one_lane(policy, lanes), old_one = one_lane(policy, old_lanes);
  sluice_attention_resize(to.paid, lanes, from.paid, old_lanes, slots);
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    policy->part.table->resize(policy->part.made.self, part_state(&to, lane), &one, part_state(&from, lane), &old_one,
                               slots + (size_t)lane * old_lanes->capacity);
  }
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  const adakv* policy = self;
  const view v = open_state(policy, state, lanes);
  const sluice_lanes one = one_lane(policy, lanes);
  sluice_attention_insert(v.paid, lanes, n, slots);
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    policy->part.table->insert(policy->part.made.self, part_state(&v, lane), &one, n, slots + (size_t)lane * n,
                               positions);
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  const adakv* policy = self;
  const view v = open_state(policy, state, lanes);
  const sluice_lanes one = one_lane(policy, lanes);
  sluice_attention_observe(v.paid, lanes, policy->window, queries, signal);
  if (signal_of_part(policy, lanes->prompt).kind == SLUICE_NO_SIGNAL) return;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    policy->part.table->observe(policy->part.made.self, part_state(&v, lane), &one, queries,
                                signal + (size_t)lane * lanes->capacity);
}

/* The rows of one kv head, as if it were the layer's only one. */
typedef struct {
  const sluice_rows* of;
  uint32_t lane;
} lane_rows;

static sluice_status read_lane(const sluice_rows* rows, uint32_t kv_head, uint32_t side, uint32_t count,
                               const uint32_t* slots, float* out) {
  const lane_rows* lane = rows->ctx;
  return lane->of->read(lane->of, lane->lane + kv_head, side, count, slots, out);
}

static sluice_rows rows_of_lane(const sluice_rows* rows, lane_rows* lane) {
  return (sluice_rows){.ctx = lane, .kv_heads = 1, .head_dim = rows->head_dim, .read = read_lane};
}

static void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                     const uint32_t* positions, const sluice_rows* rows) {
  const adakv* policy = self;
  const view v = open_state(policy, state, lanes);
  const sluice_lanes one = one_lane(policy, lanes);
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    lane_rows of_lane = {rows, lane};
    const sluice_rows seen = rows_of_lane(rows, &of_lane);
    sluice_evictor_part_inserted(&policy->part, part_state(&v, lane), &one, n, slots + (size_t)lane * n, positions,
                                 &seen);
  }
}

/* Takes the part's victims out of a lane's order, with a mark where their scores are. */
static void forget(const view* v, const sluice_lanes* lanes, uint32_t lane, uint32_t n, const uint32_t* victims) {
  sluice_order order = sluice_attention_order(v->paid, lanes, lane);
  float* scores = scores_of(v, lanes, lane);
  uint32_t oldest = *order.live;
  for (uint32_t rank = 0; rank < *order.live; rank++) scores[sluice_order_slot(order, rank)] = 0;
  for (uint32_t i = 0; i < n; i++) scores[victims[i]] = -1;
  for (uint32_t rank = *order.live; rank-- > 0;)
    if (scores[sluice_order_slot(order, rank)] < 0) sluice_order_remove(order, rank), oldest = rank;
  if (n) sluice_order_close(order, oldest, n);
}

/* counts[lane] victims of each lane, or n of each where counts is NULL; rows is NULL where the host offers none. */
static sluice_status choose_by(const adakv* policy, void* state, const sluice_lanes* lanes, uint32_t n,
                               const uint32_t* counts, const sluice_rows* rows, uint32_t* victims) {
  const view v = open_state(policy, state, lanes);
  const sluice_lanes one = one_lane(policy, lanes);
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_attention_order(v.paid, lanes, lane).live < (uint64_t)policy->window + (counts ? counts[lane] : n))
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "adakv: asked for more victims than there are tokens besides the window");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const uint32_t leave = counts ? counts[lane] : n;
    lane_rows of_lane = {rows, lane};
    sluice_rows seen;
    if (rows) seen = rows_of_lane(rows, &of_lane);
    sluice_status status =
        sluice_evictor_part_select(&policy->part, part_state(&v, lane), &one, leave, rows ? &seen : NULL, victims);
    if (status != SLUICE_OK) return status;
    forget(&v, lanes, lane, leave, victims);
    victims += leave;
  }
  return SLUICE_OK;
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  return choose_by(self, state, lanes, n, NULL, NULL, victims);
}

static sluice_status choose_with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                      const sluice_rows* rows, uint32_t* victims) {
  return choose_by(self, state, lanes, n, NULL, rows, victims);
}

static sluice_status choose_ragged(const void* self, void* state, const sluice_lanes* lanes, const uint32_t* counts,
                                   const sluice_rows* rows, uint32_t* victims) {
  return choose_by(self, state, lanes, 0, counts, rows, victims);
}

/* A part may have its own view of layers; heads are shared out within it. */
static uint32_t layer_budget(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  const sluice_evictor_part* part = &((const adakv*)self)->part;
  return part->budget ? part->budget->layer(part->made.self, layer, budget, interval) : budget;
}

/* Scores are not negative, so their bits order them. */
static uint32_t bits_of(float score) {
  uint32_t bits;
  memcpy(&bits, &score, sizeof bits);
  return bits;
}

static uint32_t beyond(uint32_t live, uint32_t kept) { return live > kept ? live - kept : 0; }

/* How many tokens of each lane score below `limit`, the window not counted, as far as the floor allows; their sum. */
static uint64_t count_below(const adakv* policy, const view* v, const sluice_lanes* lanes, const uint32_t* live,
                            uint32_t limit, uint32_t* counts) {
  uint64_t sum = 0;
  for (uint32_t lane = 0; lane < lanes->count; lane++, counts++) {
    const sluice_order order = sluice_attention_order(v->paid, lanes, lane);
    const float* scores = scores_of(v, lanes, lane);
    const uint32_t candidates = beyond(live[lane], policy->window);
    const uint32_t may_leave = beyond(live[lane], floor_of(policy, lanes));
    *counts = 0;
    for (uint32_t rank = 0; rank < candidates && *counts < may_leave; rank++)
      *counts += bits_of(scores[sluice_order_slot(order, rank)]) < limit;
    sum += *counts;
  }
  return sum;
}

/* The `total` lowest pooled scores of all lanes say how many leave each. The limit that parts them is found by halving;
 * of scores equal to it, those of the first lanes leave. */
static sluice_status split(const void* self, void* state, const sluice_lanes* lanes, const uint32_t* live,
                           uint32_t total, uint32_t* counts) {
  const adakv* policy = self;
  const view v = open_state(policy, state, lanes);
  uint32_t low = 0, high = 0x7F800001u; /* beyond infinity */
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    sluice_attention_pool(v.paid, lanes, lane, beyond(live[lane], policy->window), policy->kernel, SLUICE_POOL_PEAK,
                          scores_of(&v, lanes, lane));
  if (count_below(policy, &v, lanes, live, high, counts) < total)
    return policy->host->fail(policy->host, SLUICE_INVALID,
                              "adakv: asked for more victims than the floors of the heads allow");
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (count_below(policy, &v, lanes, live, middle, counts) <= total)
      low = middle;
    else
      high = middle;
  }
  uint64_t left = total - count_below(policy, &v, lanes, live, low, counts);
  for (uint32_t lane = 0; lane < lanes->count && left > 0; lane++) {
    const sluice_order order = sluice_attention_order(v.paid, lanes, lane);
    const float* scores = scores_of(&v, lanes, lane);
    const uint32_t candidates = beyond(live[lane], policy->window);
    const uint32_t may_leave = beyond(live[lane], floor_of(policy, lanes));
    for (uint32_t rank = 0; rank < candidates && counts[lane] < may_leave && left > 0; rank++)
      if (bits_of(scores[sluice_order_slot(order, rank)]) == low) counts[lane]++, left--;
  }
  return SLUICE_OK;
}

static const sluice_evictor_rows with_rows = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_with_rows};
static const sluice_evictor_budget budgets = {SLUICE_EVICTOR_BUDGET_LAYOUT, 1, layer_budget, split, choose_ragged};

static const void* extension(const char* id) {
  if (strcmp(id, SLUICE_EVICTOR_ROWS) == 0) return &with_rows;
  return strcmp(id, SLUICE_EVICTOR_BUDGET) == 0 ? &budgets : NULL;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [PART] = {.name = "part",
              .doc = "the evictor that chooses tokens within a head",
              .type = SLUICE_STRING,
              .initial = {.s = "snapkv"}},
    [PARAMETERS] = {.name = "parameters",
                    .doc = "its parameters as in TOML, such as \"window = 16, kernel = 7\"",
                    .type = SLUICE_STRING,
                    .initial = {.s = ""}},
    [WINDOW] = {.name = "window",
                .doc = "last queries that tell where attention is spread; as many newest tokens do not compete",
                .type = SLUICE_INT,
                .initial = {.i = 32},
                .min = {.i = 1},
                .max = {.i = 4096}},
    [KERNEL] = {.name = "kernel",
                .doc = "neighbouring tokens whose peak counts, an odd number; 1: none but itself",
                .type = SLUICE_INT,
                .initial = {.i = 7},
                .min = {.i = 1},
                .max = {.i = 255}},
    [FLOOR] = {.name = "floor",
               .doc = "share of the mean that every head keeps at least",
               .type = SLUICE_FLOAT,
               .initial = {.f = 0.2},
               .min = {.f = 0.0},
               .max = {.f = 1.0}},
};

static const sluice_module adakv_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "adakv",
    .summary = "heads of a layer share one budget by their attention; another evictor chooses the tokens",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2407.11550",
    .extension = extension,
};
static const sluice_module* const modules[] = {&adakv_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
