/* sieve: SIEVE on the tokens of a lane. A token that some query gives at least `alpha` even shares of its
 * attention is marked; a hand walks from old to young, unmarks what it passes and evicts the first unmarked
 * token. A prompt, in which nearly every token is marked by someone, is ranked by summed attention instead. */
#include "sluice/order.h"

typedef struct {
  const sluice_host* host;
  const sluice_host_stats* stats; /* NULL: nobody counts */
  int64_t recent;                 /* SLUICE_TOKENS */
  uint32_t sinks, keep_bit;
  float alpha;
} sieve;

enum { RECENT, SINKS, ALPHA, ENTRY_BIT, PARAMS };
enum { CLEAR, KEEP };

/* The queue is what a lane's order holds but for the `recent` newest. State, piece after piece:
 *   uint64_t marks[count][words]    a bit per slot
 *   the orders of the lanes         without sinks
 *   uint32_t hand[count]            a rank of the queue + 1; 0: nowhere, it starts at the oldest token of the
 *                                   queue, also when tokens have entered since
 *   float sums[count][capacity]     in a prompt's state only
 * so zeroed bytes are an empty state. */
typedef struct {
  sluice_order order;
  uint64_t* marks;
  uint32_t* hand;
  float* sums;
} view;

static size_t words_of(const sluice_lanes* lanes) { return ((size_t)lanes->capacity + 63) / 64; }

static view open_lane(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  uint64_t* marks = (uint64_t*)state;
  char* orders = (char*)(marks + lanes->count * words_of(lanes));
  uint32_t* hands = (uint32_t*)(orders + sluice_order_bytes(lanes));
  return (view){
      .order = sluice_order_open(orders, lanes, lane),
      .marks = marks + lane * words_of(lanes),
      .hand = hands + lane,
      .sums = lanes->prompt ? (float*)(hands + lanes->count) + (size_t)lane * lanes->capacity : NULL,
  };
}

static int marked(const view* lane, uint32_t slot) { return lane->marks[slot / 64] >> slot % 64 & 1; }
static void unmark(const view* lane, uint32_t slot) { lane->marks[slot / 64] &= ~((uint64_t)1 << slot % 64); }

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)geometry;
  sieve* policy = host->alloc(host, sizeof *policy, sizeof(void*));
  if (!policy) return host->fail(host, SLUICE_NO_MEMORY, "sieve: no memory for the instance");
  const sluice_host_stats* stats = host->extension(host, SLUICE_HOST_STATS);
  policy->host = host;
  policy->stats = stats && stats->layout == SLUICE_HOST_STATS_LAYOUT ? stats : NULL;
  policy->recent = params[RECENT].i;
  policy->sinks = (uint32_t)params[SINKS].i;
  policy->alpha = (float)params[ALPHA].f;
  policy->keep_bit = params[ENTRY_BIT].i == KEEP;
  *self = policy;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((sieve*)self)->host;
  host->free(host, self);
}

/* Sinks may hold nine tenths of the attention; without them an even share means something. */
static void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  const sieve* policy = self;
  if (prompt)
    *wanted = (sluice_signal){.kind = SLUICE_SUM};
  else
    *wanted = (sluice_signal){.kind = SLUICE_PEAK, .skip_first = policy->sinks, .skip_self = 1};
}

static size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  size_t bytes = lanes->count * (words_of(lanes) * sizeof(uint64_t) + sizeof(uint32_t)) + sluice_order_bytes(lanes);
  return lanes->prompt ? bytes + (size_t)lanes->count * lanes->capacity * sizeof(float) : bytes;
}

static sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  const sieve* policy = self;
  (void)state; /* zeroed bytes are an empty state */
  return sluice_check_kept(policy->host, "sieve", lanes, sluice_tokens(policy->recent, lanes->budget), policy->sinks);
}

/* Between decoding states marks and hand move along. Where a prompt begins or ends, both start anew. */
static void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                   const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self;
  for (uint32_t l = 0; l < lanes->count; l++) {
    view to = open_lane(state, lanes, l), from = open_lane(old, old_lanes, l);
    const uint32_t* map = slots + (size_t)l * old_lanes->capacity;
    sluice_order_move(to.order, from.order, map);
    for (uint32_t rank = 0; rank < *from.order.live; rank++) {
      uint32_t slot = sluice_order_slot(from.order, rank), moved = map[slot];
      if (to.sums && from.sums) to.sums[moved] = from.sums[slot];
      if (!to.sums && !from.sums && marked(&from, slot)) to.marks[moved / 64] |= (uint64_t)1 << moved % 64;
    }
    if (!to.sums && !from.sums) *to.hand = *from.hand;
  }
}

/* Tokens of the queue: those that left the recent window. */
static uint32_t queued(const view* lane, uint32_t recent) {
  return *lane->order.live > recent ? *lane->order.live - recent : 0;
}

static void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t* positions) {
  const sieve* policy = self;
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  for (uint32_t l = 0; l < lanes->count; l++) {
    view lane = open_lane(state, lanes, l);
    uint32_t before = queued(&lane, recent);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t slot = slots[(size_t)l * n + i];
      if (lane.sums) lane.sums[slot] = 0;
      if (positions[i] >= policy->sinks) sluice_order_append(lane.order, slot);
    }
    if (policy->keep_bit) continue;
    for (uint32_t rank = before; rank < queued(&lane, recent); rank++) unmark(&lane, sluice_order_at(lane.order, rank));
  }
}

/* Marks the slots that were seen by at least alpha even shares; returns how many. Victims leave unmarked and
 * slots without a token see nothing, so a token finds its slot unmarked. */
static uint32_t mark_hits(const view* lane, uint32_t capacity, const float* peak, float alpha) {
  uint32_t hits = 0;
  for (uint32_t first = 0; first < capacity; first += 64) {
    uint32_t in_word = capacity - first < 64 ? capacity - first : 64;
    uint64_t word = 0;
    for (uint32_t i = 0; i < in_word; i++) word |= (uint64_t)(peak[first + i] >= alpha) << i;
    lane->marks[first / 64] |= word;
    hits += (uint32_t)__builtin_popcountll(word);
  }
  return hits;
}

static void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* seen) {
  const sieve* policy = self;
  uint64_t hits = 0, rows = 0;
  (void)queries;
  for (uint32_t l = 0; l < lanes->count; l++) {
    view lane = open_lane(state, lanes, l);
    const float* of_lane = seen + (size_t)l * lanes->capacity;
    if (lane.sums) {
      for (uint32_t slot = 0; slot < lanes->capacity; slot++) lane.sums[slot] += of_lane[slot];
    } else {
      hits += mark_hits(&lane, lanes->capacity, of_lane, policy->alpha);
      if (*lane.order.live) rows += *lane.order.live - 1; /* the newest was seen by nobody but itself */
    }
  }
  if (policy->stats && rows) policy->stats->add(policy->host, "hit rate", (double)hits, (double)rows);
}

/* What the hand did in one call, for reports. */
typedef struct {
  uint64_t moves;  /* marked tokens passed */
  uint64_t oldest; /* victims that were the oldest of the queue */
} walk;

/* Takes n tokens of the queue. The hand comes back to a token that it unmarked only after a full lap, when no
 * other is left; those then go in the hand's order. */
static void sweep(const view* lane, uint32_t queue, uint32_t n, uint32_t* victims, walk* seen) {
  uint32_t at = *lane->hand && *lane->hand <= queue ? *lane->hand - 1 : 0;
  uint32_t first_gap = queue, last = 0, oldest = 0;
  for (uint32_t found = 0; found < n; at = at + 1 < queue ? at + 1 : 0) {
    uint32_t slot = sluice_order_at(lane->order, at);
    if (slot == SLUICE_FREE) continue;
    if (marked(lane, slot)) {
      unmark(lane, slot);
      seen->moves++;
      continue;
    }
    while (sluice_order_at(lane->order, oldest) == SLUICE_FREE) oldest++;
    seen->oldest += at == oldest;
    victims[found++] = sluice_order_remove(lane->order, at);
    if (at < first_gap) first_gap = at;
    last = at;
  }
  /* The hand goes on to the next token of the queue, whose rank will be without the gaps before it. */
  uint32_t next = last, rank = first_gap;
  while (next < queue && sluice_order_at(lane->order, next) == SLUICE_FREE) next++;
  for (uint32_t i = first_gap; i < last; i++) rank += sluice_order_at(lane->order, i) != SLUICE_FREE;
  *lane->hand = next < queue ? rank + 1 : 0;
  sluice_order_close(lane->order, first_gap, n);
}

static sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sieve* policy = self;
  uint32_t recent = sluice_tokens(policy->recent, lanes->budget);
  walk seen = {0, 0};
  if (n == 0) return SLUICE_OK;
  for (uint32_t l = 0; l < lanes->count; l++) {
    view lane = open_lane(state, lanes, l);
    if (queued(&lane, recent) < n)
      return policy->host->fail(policy->host, SLUICE_INVALID,
                                "sieve: asked for more victims than there are tokens besides sinks and recent");
  }
  for (uint32_t l = 0; l < lanes->count; l++) {
    view lane = open_lane(state, lanes, l);
    uint32_t* of_lane = victims + (size_t)l * n;
    if (lane.sums)
      sluice_order_take_lowest(lane.order, lane.sums, queued(&lane, recent), n, of_lane);
    else
      sweep(&lane, queued(&lane, recent), n, of_lane, &seen);
  }
  if (policy->stats && !lanes->prompt) {
    double evictions = (double)n * lanes->count;
    policy->stats->add(policy->host, "moves per eviction", (double)seen.moves, evictions);
    policy->stats->add(policy->host, "victim was the oldest", (double)seen.oldest, evictions);
  }
  return SLUICE_OK;
}

static const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};

static const sluice_param params[PARAMS] = {
    [RECENT] = {.name = "recent",
                .doc = "newest tokens that never leave: a number or a share of the budget",
                .type = SLUICE_TOKENS,
                .initial = {.i = 32},
                .min = {.i = 0},
                .max = {.i = 1 << 24}},
    [SINKS] = {.name = "sinks",
               .doc = "first tokens of the sequence that never leave",
               .type = SLUICE_INT,
               .initial = {.i = 4},
               .min = {.i = 0},
               .max = {.i = 4096}},
    [ALPHA] = {.name = "alpha",
               .doc = "even shares of a query's attention that mark a token",
               .type = SLUICE_FLOAT,
               .initial = {.f = 1.0},
               .min = {.f = 1e-6},
               .max = {.f = 1e6}},
    [ENTRY_BIT] = {.name = "entry_bit",
                   .doc = "the mark a token collected while it was recent, when it joins the queue",
                   .choices = "clear|keep",
                   .type = SLUICE_CHOICE,
                   .initial = {.i = CLEAR},
                   .min = {.i = CLEAR},
                   .max = {.i = KEEP}},
};

static const sluice_module sieve_module = {
    .interface_id = SLUICE_EVICTOR,
    .table = &table,
    .layout = SLUICE_EVICTOR_LAYOUT,
    .param_count = PARAMS,
    .params = params,
    .name = "sieve",
    .summary = "a queue in order of age with one bit per token and a moving hand",
    .version = "1.0",
    .reference = "https://www.usenix.org/conference/nsdi24/presentation/zhang-yazhuo",
};
static const sluice_module* const modules[] = {&sieve_module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
