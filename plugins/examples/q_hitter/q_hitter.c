/* q_hitter: heavy hitters that also bear quantization. A token's score mixes the attention it was given since it came
 * (as h2o) with how well its K and V survive being stored in a few bits; both are scaled to 0 .. 1 over the lane. */
#include <math.h>
#include <sluice/extensions.h>
#include <sluice/half.h>
#include <sluice/order.h>

enum { MOST_DIM = 512, CHUNK = 16 }; /* rows are read CHUNK at a time */

typedef struct {
  const sluice_host* host;
  int64_t recent; /* SLUICE_TOKENS */
  uint32_t levels;
  float attention;
} q_hitter;

enum { RECENT, BITS, ATTENTION, PARAMS };

/* State, piece after piece:
 *   float sums[count][capacity]          attention by slot
 *   float scores[capacity]               of the lane at hand
 *   the orders of the lanes
 *   uint16_t errors[2][count][capacity]  half floats by side: what quantization would do to the token's row */
typedef struct {
  float *sums, *scores;
  void* orders;
  uint16_t* errors;
} view;

static size_t cells_of(const sluice_lanes* lanes) { return (size_t)lanes->count * lanes->capacity; }

static view open_state(const void* state, const sluice_lanes* lanes) {
  view v;
  v.sums = (float*)state;
  v.scores = v.sums + cells_of(lanes);
  v.orders = v.scores + lanes->capacity;
  v.errors = (uint16_t*)((char*)v.orders + sluice_order_bytes(lanes));
  return v;
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return (cells_of(lanes) + lanes->capacity) * sizeof(float) + sluice_order_bytes(lanes) +
         2 * cells_of(lanes) * sizeof(uint16_t);
}

static uint16_t* errors_of(view v, const sluice_lanes* lanes, uint32_t side, uint32_t lane) {
  return v.errors + side * cells_of(lanes) + (size_t)lane * lanes->capacity;
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  static const uint32_t bits[] = {2, 3, 4, 8};
  if (!host->extension(host, SLUICE_EVICTOR_ROWS))
    return host->fail(host, SLUICE_UNSUPPORTED, "q_hitter: judges tokens by their rows, and this host shows it none");
  if (geometry->head_dim > MOST_DIM)
    return host->fail(host, SLUICE_UNSUPPORTED, "q_hitter: serves heads of at most 512 numbers");
  q_hitter* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "q_hitter: no memory for the instance");
  policy->host = host;
  policy->recent = params[RECENT].i;
  policy->levels = (1u << bits[params[BITS].i]) - 1;
  policy->attention = (float)params[ATTENTION].f;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((q_hitter*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  *wanted = (sluice_signal){.kind = SLUICE_SUM};
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const q_hitter* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "q_hitter", lanes, sluice_tokens(policy->recent, lanes->budget), 0);
}

static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  view to = open_state(state, lanes), from = open_state(old, old_lanes);
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    sluice_order order = sluice_order_open(from.orders, old_lanes, lane);
    sluice_order_move(sluice_order_open(to.orders, lanes, lane), order, map);
    for (uint32_t rank = 0; rank < *order.live; rank++) {
      uint32_t slot = sluice_order_slot(order, rank), moved = map[slot];
      to.sums[(size_t)lane * lanes->capacity + moved] = from.sums[(size_t)lane * old_lanes->capacity + slot];
      for (uint32_t side = 0; side < 2; side++)
        errors_of(to, lanes, side, lane)[moved] = errors_of(from, old_lanes, side, lane)[slot];
    }
  }
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  (void)self, (void)positions;
  view v = open_state(state, lanes);
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_order_open(v.orders, lanes, lane);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t slot = slots[(size_t)lane * n + i];
      v.sums[(size_t)lane * lanes->capacity + slot] = 0;
      for (uint32_t side = 0; side < 2; side++) errors_of(v, lanes, side, lane)[slot] = 0;
      sluice_order_append(order, slot);
    }
  }
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
  (void)self, (void)queries;
  float* sums = open_state(state, lanes).sums; /* they lie as the signal does */
  for (size_t i = 0; i < cells_of(lanes); i++) sums[i] += signal[i];
}

/* The squared length of what a row loses when it is stored with levels + 1 even steps between its extremes. */
static float square_error(const float* row, uint32_t dim, uint32_t levels) {
  float low = row[0], high = row[0], sum = 0;
  for (uint32_t c = 1; c < dim; c++) {
    if (row[c] < low) low = row[c];
    if (row[c] > high) high = row[c];
  }
  float step = (high - low) / (float)levels;
  if (!(step > 0)) return 0;
  for (uint32_t c = 0; c < dim; c++) {
    float lost = row[c] - (low + rintf((row[c] - low) / step) * step);
    sum += lost * lost;
  }
  return sum;
}

/* Of a lane that is a whole layer, the errors of its heads' rows as if they were one row. */
static void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                     const uint32_t* positions, const sluice_rows* rows) {
  const q_hitter* policy = self;
  view v = open_state(state, lanes);
  float values[CHUNK * MOST_DIM], squares[CHUNK];
  const uint32_t heads = rows->kv_heads / lanes->count;
  (void)positions;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    for (uint32_t side = 0; side < 2; side++)
      for (uint32_t first = 0; first < n; first += CHUNK) {
        const uint32_t count = n - first < CHUNK ? n - first : CHUNK;
        const uint32_t* named = slots + (size_t)lane * n + first;
        memset(squares, 0, sizeof squares);
        for (uint32_t head = lane * heads; head < (lane + 1) * heads; head++) {
          if (rows->read(rows, head, side, count, named, values) != SLUICE_OK) return; /* the host knows */
          for (uint32_t i = 0; i < count; i++)
            squares[i] += square_error(values + (size_t)i * rows->head_dim, rows->head_dim, policy->levels);
        }
        for (uint32_t i = 0; i < count; i++)
          errors_of(v, lanes, side, lane)[named[i]] = sluice_to_half(sqrtf(squares[i]));
      }
}

/* A number as a share of a lane's range; 0 where all are equal. */
typedef struct {
  float low, high;
} range;

static void widen(range* r, float x, uint32_t rank) {
  if (rank == 0 || x < r->low) r->low = x;
  if (rank == 0 || x > r->high) r->high = x;
}

static float within(range r, float x) { return r.high > r.low ? (x - r.low) / (r.high - r.low) : 0; }

/* scores[slot] of all tokens of a lane. */
static void score(const q_hitter* policy, view v, const sluice_lanes* lanes, uint32_t lane, sluice_order order) {
  const float* sums = v.sums + (size_t)lane * lanes->capacity;
  const uint16_t* errors[2] = {errors_of(v, lanes, SLUICE_KEY, lane), errors_of(v, lanes, SLUICE_VALUE, lane)};
  range paid = {0, 0}, lost[2] = {{0, 0}, {0, 0}};
  for (uint32_t rank = 0; rank < *order.live; rank++) {
    uint32_t slot = sluice_order_slot(order, rank);
    widen(&paid, sums[slot], rank);
    for (uint32_t side = 0; side < 2; side++) widen(&lost[side], sluice_from_half(errors[side][slot]), rank);
  }
  for (uint32_t rank = 0; rank < *order.live; rank++) {
    uint32_t slot = sluice_order_slot(order, rank);
    float friendly = 1 - (within(lost[SLUICE_KEY], sluice_from_half(errors[SLUICE_KEY][slot])) +
                          within(lost[SLUICE_VALUE], sluice_from_half(errors[SLUICE_VALUE][slot]))) /
                             2;
    v.scores[slot] = policy->attention * within(paid, sums[slot]) + (1 - policy->attention) * friendly;
  }
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const q_hitter* policy = self;
  view v = open_state(state, lanes);
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_order_open(v.orders, lanes, lane).live < (uint64_t)recent + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "q_hitter: asked for more victims than there are tokens besides the recent ones");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_order_open(v.orders, lanes, lane);
    score(policy, v, lanes, lane, order);
    sluice_order_take_lowest(order, v.scores, *order.live - recent, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

static sluice_status choose_with_rows(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                      const sluice_rows* rows, uint32_t* victims) {
  (void)rows; /* what matters of them was kept when they came */
  return choose(self, state, lanes, n, victims);
}

static const sluice_evictor_rows with_rows = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, inserted, choose_with_rows};

static const void* extension(const char* id) { return strcmp(id, SLUICE_EVICTOR_ROWS) == 0 ? &with_rows : NULL; }

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [RECENT] = {.name = "recent",
                .doc = "newest tokens that never leave: a number or a share of the budget",
                .type = SLUICE_TOKENS,
                .initial = {.i = SLUICE_PERCENT(50)},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
    [BITS] = {.name = "bits",
              .doc = "bits per number that a token's rows are tried with",
              .choices = "2|3|4|8",
              .type = SLUICE_CHOICE,
              .initial = {.i = 2},
              .min = {.i = 0},
              .max = {.i = 3}},
    [ATTENTION] = {.name = "attention",
                   .doc = "weight of attention in the score; the rest is that of quantization",
                   .type = SLUICE_FLOAT,
                   .initial = {.f = 0.5},
                   .min = {.f = 0.0},
                   .max = {.f = 1.0}},
};

static const sluice_module q_hitter_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "q_hitter",
    .summary = "keeps heavy hitters whose K and V bear quantization, and the most recent tokens",
    .version = "1.0",
    .reference = "https://mlsys.org/virtual/2024/poster/2642",
    .extension = extension,
};
static const sluice_module* const modules[] = {&q_hitter_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
