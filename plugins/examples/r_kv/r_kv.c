/* r_kv: tokens leave that repeat others and that nobody looks at. A token's score mixes what the newest queries pay to
 * it with how much its key repeats the other keys of the lane; made for long chains of thought. */
#include <math.h>
#include <sluice/attention.h>
#include <sluice/extensions.h>
#include <sluice/kernels.h>

enum { MOST_DIM = 512, CHUNK = 16 }; /* keys are compared CHUNK against CHUNK */

typedef struct {
  const sluice_host* host;
  const sluice_kernels* kernels;
  uint32_t window, kernel;
  float importance, alike;
} r_kv;

enum { WINDOW, KERNEL, IMPORTANCE, ALIKE, PARAMS };

/* State: the window's attention, then float scores[capacity] and redundancy[capacity] of the lane at hand. */
typedef struct {
  sluice_attention paid;
  float *scores, *redundancy;
} view;

static view open_state(const void* state, const sluice_lanes* lanes) {
  view v;
  v.paid = sluice_attention_open(state, lanes);
  v.scores = (float*)((char*)state + sluice_attention_bytes(lanes));
  v.redundancy = v.scores + lanes->capacity;
  return v;
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return sluice_attention_bytes(lanes) + 2 * lanes->capacity * sizeof(float);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  if (!host->extension(host, SLUICE_EVICTOR_ROWS))
    return host->fail(host, SLUICE_UNSUPPORTED, "r_kv: compares keys, and this host shows it none");
  if (geometry->head_dim > MOST_DIM)
    return host->fail(host, SLUICE_UNSUPPORTED, "r_kv: serves heads of at most 512 numbers");
  if (params[KERNEL].i % 2 == 0)
    return host->fail(host, SLUICE_INVALID, "r_kv: kernel must be odd, so that a token stands in its middle");
  r_kv* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "r_kv: no memory for the instance");
  policy->host = host;
  policy->kernels = sluice_kernels_best();
  policy->window = (uint32_t)params[WINDOW].i;
  policy->kernel = (uint32_t)params[KERNEL].i;
  policy->importance = (float)params[IMPORTANCE].f;
  policy->alike = (float)params[ALIKE].f;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((r_kv*)self)->host;
  host->free(host, self);
}

static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  const r_kv* policy = self;
  *wanted = (sluice_signal){.kind = SLUICE_SUM, .window = prompt ? policy->window : 0};
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const r_kv* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "r_kv", lanes, policy->window, 0);
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
  const r_kv* policy = self;
  sluice_attention_observe(open_state(state, lanes).paid, lanes, policy->window, queries, signal);
}

/* Keys of a head in the order of age, a chunk of them, each of length 1. */
typedef struct {
  uint32_t first, count, slots[CHUNK];
  float keys[CHUNK * MOST_DIM];
} chunk;

static sluice_status read_chunk(const r_kv* policy, const sluice_rows* rows, uint32_t head, sluice_order order,
                                uint32_t first, chunk* c) {
  c->first = first;
  c->count = *order.live - first < CHUNK ? *order.live - first : CHUNK;
  for (uint32_t i = 0; i < c->count; i++) c->slots[i] = sluice_order_slot(order, first + i);
  sluice_status status = rows->read(rows, head, SLUICE_KEY, c->count, c->slots, c->keys);
  for (uint32_t i = 0; status == SLUICE_OK && i < c->count; i++) {
    float* key = c->keys + (size_t)i * rows->head_dim;
    float square = policy->kernels->inner(rows->head_dim, key, key);
    float inverse = square > 0 ? 1 / sqrtf(square) : 0;
    for (uint32_t k = 0; k < rows->head_dim; k++) key[k] *= inverse;
  }
  return status;
}

/* redundancy[slot] += the sum of cosines with all other keys of a head. Of the keys that are alike to some key, the
 * newest is spared that cosine: of a repeated thought the last copy stays. */
static sluice_status compare_keys(const r_kv* policy, const sluice_rows* rows, uint32_t head, sluice_order order,
                                  float* redundancy) {
  const uint32_t live = *order.live, last = (live - 1) / CHUNK * CHUNK;
  chunk of, with;
  for (uint32_t first = 0; first < live; first += CHUNK) {
    uint32_t spared = 0; /* a bit per key of the chunk: its newest likeness was found */
    sluice_status status = read_chunk(policy, rows, head, order, first, &of);
    for (uint32_t other = last; status == SLUICE_OK; other -= CHUNK) {
      status = read_chunk(policy, rows, head, order, other, &with);
      for (uint32_t j = with.count; status == SLUICE_OK && j-- > 0;) {
        float sum = 0;
        for (uint32_t i = 0; i < of.count; i++) {
          if (of.first + i == with.first + j) continue;
          float cosine = policy->kernels->inner(rows->head_dim, of.keys + (size_t)i * rows->head_dim,
                                                with.keys + (size_t)j * rows->head_dim);
          if (cosine > policy->alike && !(spared >> i & 1))
            spared |= 1u << i;
          else
            sum += cosine;
        }
        redundancy[with.slots[j]] += sum;
      }
      if (other == 0) break;
    }
    if (status != SLUICE_OK) return status;
  }
  return SLUICE_OK;
}

/* e^x for |x| <= 1, the same bits everywhere, which expf does not promise. */
static float exponential(float x) {
  double sum = 1;
  for (int k = 15; k > 0; k--) sum = 1 + sum * (double)x / k;
  return (float)sum;
}

/* scores[slot] of the candidates, from their pooled attention: what was paid and what is repeated count as shares. */
static void mix(const r_kv* policy, const view* v, const sluice_lanes* lanes, uint32_t lane, sluice_order order,
                uint32_t candidates, uint32_t heads) {
  double paid = 0, repeated = 0;
  for (uint32_t rank = 0; rank < *order.live; rank++) {
    uint32_t slot = sluice_order_slot(order, rank);
    if (rank < candidates) paid += (double)sluice_attention_of(v->paid, lanes, lane, slot);
    v->redundancy[slot] = exponential(v->redundancy[slot] / (float)*order.live / (float)heads);
    repeated += (double)v->redundancy[slot];
  }
  if (!(paid > 0)) paid = 1;
  for (uint32_t rank = 0; rank < candidates; rank++) {
    uint32_t slot = sluice_order_slot(order, rank);
    double important = (double)v->scores[slot] / paid, redundant = (double)v->redundancy[slot] / repeated;
    v->scores[slot] = policy->importance * (float)important - (1 - policy->importance) * (float)redundant;
  }
}

/* Without rows only attention counts. */
static sluice_status choose_by(const r_kv* policy, void* state, const sluice_lanes* lanes, uint32_t n,
                               const sluice_rows* rows, uint32_t* victims) {
  view v = open_state(state, lanes);
  if (n == 0) return SLUICE_OK;
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (*sluice_attention_order(v.paid, lanes, lane).live < (uint64_t)policy->window + n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "r_kv: asked for more victims than there are tokens besides the window");
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_attention_order(v.paid, lanes, lane);
    uint32_t candidates = *order.live - policy->window;
    sluice_attention_pool(v.paid, lanes, lane, candidates, policy->kernel, SLUICE_POOL_PEAK, v.scores);
    if (rows) {
      const uint32_t heads = rows->kv_heads / lanes->count; /* all, where a lane is a whole layer */
      memset(v.redundancy, 0, lanes->capacity * sizeof(float));
      for (uint32_t head = lane * heads; head < (lane + 1) * heads; head++) {
        sluice_status status = compare_keys(policy, rows, head, order, v.redundancy);
        if (status != SLUICE_OK) return status;
      }
      mix(policy, &v, lanes, lane, order, candidates, heads);
    }
    sluice_order_take_lowest(order, v.scores, candidates, n, victims + (size_t)lane * n);
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
    [WINDOW] = {.name = "window",
                .doc = "last queries that score a token; as many newest tokens never leave",
                .type = SLUICE_INT,
                .initial = {.i = 8},
                .min = {.i = 1},
                .max = {.i = 4096}},
    [KERNEL] = {.name = "kernel",
                .doc = "neighbouring tokens whose peak counts, an odd number; 1: none but itself",
                .type = SLUICE_INT,
                .initial = {.i = 7},
                .min = {.i = 1},
                .max = {.i = 255}},
    [IMPORTANCE] = {.name = "importance",
                    .doc = "weight of attention in the score; the rest is that of not repeating others",
                    .type = SLUICE_FLOAT,
                    .initial = {.f = 0.1},
                    .min = {.f = 0.0},
                    .max = {.f = 1.0}},
    [ALIKE] = {.name = "alike",
               .doc = "cosine above which keys are copies, of which the newest is spared",
               .type = SLUICE_FLOAT,
               .initial = {.f = 0.5},
               .min = {.f = -1.0},
               .max = {.f = 1.0}},
};

static const sluice_module r_kv_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "r_kv",
    .summary = "keeps tokens that are looked at and do not repeat others",
    .version = "1.0",
    .reference = "https://arxiv.org/abs/2505.24133",
    .extension = extension,
};
static const sluice_module* const modules[] = {&r_kv_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
