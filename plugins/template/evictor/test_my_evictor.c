/* What my_evictor promises, on two lanes and made-up attention: victims are alive, distinct and no sinks, the least
 * seen leave first, and nothing changes when slots do. `sluice plugin check` asks what every evictor must do. */
#include "test_host.h"

enum { LANES = 2, CAPACITY = 40, BUDGET = 16, INTERVAL = 4, SINKS = 4 };

static const sluice_evictor* policy;
static void* self;

/* One sequence's cache as a host sees it. */
static struct {
  sluice_lanes lanes;
  void* state;
  uint32_t position[LANES][CAPACITY]; /* of the token in a slot; SLUICE_FREE: none */
  uint32_t tokens;                    /* that came so far */
} cache;

static void open_cache(uint32_t budget) {
  const sluice_lanes lanes = {0, LANES, CAPACITY, budget, INTERVAL, 0};
  cache.lanes = lanes;
  cache.state = aligned(policy->state_size(self, &lanes));
  memset(cache.position, 0xFF, sizeof cache.position);
  cache.tokens = 0;
}

static void insert(uint32_t n) {
  uint32_t slots[LANES * CAPACITY], positions[CAPACITY], lane, i, slot;
  for (i = 0; i < n; i++) positions[i] = cache.tokens + i;
  for (lane = 0; lane < LANES; lane++)
    for (i = 0, slot = 0; i < n; i++) {
      while (cache.position[lane][slot] != SLUICE_FREE) slot++;
      cache.position[lane][slot] = positions[i];
      slots[lane * n + i] = slot;
    }
  policy->insert(self, cache.state, &cache.lanes, n, slots, positions);
  cache.tokens += n;
}

/* Attention that gives the token at position p of lane l the weight (p * 7 + l) % 11. */
static float weight(uint32_t lane, uint32_t position) { return (float)((position * 7 + lane) % 11); }

static void observe(uint32_t queries) {
  float signal[LANES * CAPACITY];
  uint32_t lane, slot;
  for (lane = 0; lane < LANES; lane++)
    for (slot = 0; slot < CAPACITY; slot++) {
      const uint32_t position = cache.position[lane][slot];
      signal[lane * CAPACITY + slot] = position == SLUICE_FREE ? 0 : weight(lane, position);
    }
  policy->observe(self, cache.state, &cache.lanes, queries, signal);
}

/* Lets n tokens per lane leave; checks that none was a sink and none that stayed weighs less. */
static void evict(uint32_t n) {
  uint32_t victims[LANES * CAPACITY], lane, i, slot;
  CHECK(policy->select(self, cache.state, &cache.lanes, n, victims) == SLUICE_OK);
  for (lane = 0; lane < LANES; lane++) {
    float heaviest = 0;
    for (i = 0; i < n; i++) {
      const uint32_t victim = victims[lane * n + i];
      CHECK(victim < CAPACITY && cache.position[lane][victim] != SLUICE_FREE);
      CHECK(cache.position[lane][victim] >= SINKS);
      if (weight(lane, cache.position[lane][victim]) > heaviest) heaviest = weight(lane, cache.position[lane][victim]);
      cache.position[lane][victim] = SLUICE_FREE;
    }
    for (slot = 0; slot < CAPACITY; slot++)
      if (cache.position[lane][slot] != SLUICE_FREE && cache.position[lane][slot] >= SINKS)
        CHECK(weight(lane, cache.position[lane][slot]) >= heaviest);
  }
}

/* The same tokens under other slots, in a state of another block. */
static void reverse_slots(void) {
  uint32_t map[LANES * CAPACITY], lane, slot;
  uint32_t position[LANES][CAPACITY];
  void* state = aligned(policy->state_size(self, &cache.lanes));
  for (lane = 0; lane < LANES; lane++)
    for (slot = 0; slot < CAPACITY; slot++) {
      const uint32_t token = cache.position[lane][slot];
      map[lane * CAPACITY + slot] = token == SLUICE_FREE ? SLUICE_FREE : CAPACITY - 1 - slot;
      position[lane][CAPACITY - 1 - slot] = token;
    }
  policy->resize(self, state, &cache.lanes, cache.state, &cache.lanes, map);
  cache.state = state;
  memcpy(cache.position, position, sizeof position);
}

int main(void) {
  const sluice_module* module = first_module();
  const sluice_geometry geometry = {1, 4, LANES, 64, 4096};
  sluice_value values[16];
  uint32_t victims[LANES * CAPACITY], step;
  default_values(module, values);
  policy = (const sluice_evictor*)module->table;
  CHECK(strcmp(module->interface_id, SLUICE_EVICTOR) == 0 && module->layout == SLUICE_EVICTOR_LAYOUT);
  CHECK(policy->create(&test_host, &geometry, values, &self) == SLUICE_OK);

  open_cache(BUDGET);
  CHECK(policy->reset(self, cache.state, &cache.lanes) == SLUICE_OK);
  insert(BUDGET);
  for (step = 0; step < 50; step++) {
    insert(INTERVAL);
    observe(INTERVAL);
    if (step % 3 == 2) reverse_slots();
    evict(INTERVAL);
  }
  /* More than there is besides sinks is refused, with a sentence. */
  CHECK(policy->select(self, cache.state, &cache.lanes, BUDGET - SINKS + 1, victims) == SLUICE_INVALID);
  CHECK(host_message[0] != 0);
  /* So is a budget that the sinks do not fit into. */
  open_cache(SINKS);
  CHECK(policy->reset(self, cache.state, &cache.lanes) == SLUICE_INVALID);

  policy->destroy(self);
  printf("%s: as promised\n", module->name);
  return 0;
}
