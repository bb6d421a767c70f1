/* An evictor that keeps every promise: of a lane's tokens those with the least attention leave. Each plugin here
 * passes its functions to PUBLISH with one of them replaced by one that lies. */
#ifndef SLUICE_BAD_PLUGINS_GOOD_H
#define SLUICE_BAD_PLUGINS_GOOD_H

#include <stdlib.h>

#include "sluice/extensions.h"
#include "sluice/order.h"

typedef struct {
  const sluice_host* host;
  uint32_t kv_heads;
} instance;

/* State: eight words for those who lie, then float scores[count][capacity], then the orders of the lanes. */
static inline uint32_t* notes_of(void* state) { return (uint32_t*)state; }
static inline float* scores_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return (float*)state + 8 + (size_t)lane * lanes->capacity;
}
static inline sluice_order order_of(const void* state, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(scores_of(state, lanes, lanes->count), lanes, lane);
}

static inline sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                                   void** self) {
  instance* made = (instance*)host->alloc(host, sizeof *made, sizeof(void*));
  (void)params;
  if (!made) return host->fail(host, SLUICE_NO_MEMORY, "no memory for the instance");
  made->host = host;
  made->kv_heads = geometry->kv_heads;
  *self = made;
  return SLUICE_OK;
}
static inline void destroy(void* self) {
  const sluice_host* host = ((instance*)self)->host;
  host->free(host, self);
}
static inline void wants(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  memset(wanted, 0, sizeof *wanted);
  wanted->kind = SLUICE_SUM;
}
static inline size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self;
  return (8 + (size_t)lanes->count * lanes->capacity) * sizeof(float) + sluice_order_bytes(lanes);
}
static inline sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  (void)state;
  return sluice_check_kept(((const instance*)self)->host, "good", lanes, 0, 0);
}
static inline void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                          const sluice_lanes* old_lanes, const uint32_t* slots) {
  uint32_t lane, rank;
  (void)self;
  memcpy(state, old, 8 * sizeof(uint32_t));
  for (lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    sluice_order to = order_of(state, lanes, lane), from = order_of(old, old_lanes, lane);
    sluice_order_move(to, from, map);
    for (rank = 0; rank < *from.live; rank++) {
      uint32_t slot = sluice_order_slot(from, rank);
      scores_of(state, lanes, lane)[map[slot]] = scores_of(old, old_lanes, lane)[slot];
    }
  }
}
static inline void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                          const uint32_t* positions) {
  uint32_t lane, i;
  (void)self, (void)positions;
  for (lane = 0; lane < lanes->count; lane++)
    for (i = 0; i < n; i++) {
      const uint32_t slot = slots[(size_t)lane * n + i];
      scores_of(state, lanes, lane)[slot] = 0;
      sluice_order_append(order_of(state, lanes, lane), slot);
    }
}
static inline void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries,
                           const float* signal) {
  float* scores = scores_of(state, lanes, 0);
  size_t i;
  (void)self, (void)queries;
  for (i = 0; i < (size_t)lanes->count * lanes->capacity; i++) scores[i] += signal[i];
}
static inline sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                   uint32_t* victims) {
  const sluice_host* host = ((const instance*)self)->host;
  uint32_t lane;
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n)
      return host->fail(host, SLUICE_INVALID, "asked for more victims than there are tokens");
  for (lane = 0; n > 0 && lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    sluice_order_take_lowest(order, scores_of(state, lanes, lane), *order.live, n, victims + (size_t)lane * n);
  }
  return SLUICE_OK;
}

/* For sluice.evictor.rows/1: looks at no rows. */
static inline void inserted(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                            const uint32_t* positions, const sluice_rows* rows) {
  (void)self, (void)state, (void)lanes, (void)n, (void)slots, (void)positions, (void)rows;
}
static inline sluice_status choose_unseen(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                          const sluice_rows* rows, uint32_t* victims) {
  (void)rows;
  return choose(self, state, lanes, n, victims);
}

/* One module, its name "liar"; `of_extension` is NULL or its function of that name. */
#define MODULE(interface_id, table, layout, params, count, of_extension) \
  { interface_id, table, layout, count, params, "liar", "keeps all promises but one", "1", NULL, of_extension }
#define ENTRY(...)                                                                                           \
  static const sluice_module module = __VA_ARGS__;                                                           \
  static const sluice_module* const modules[] = {&module};                                                   \
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"}; \
  const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
#define EVICTOR_TABLE(...) static const sluice_evictor table = {__VA_ARGS__}
#define PUBLISH(...)          \
  EVICTOR_TABLE(__VA_ARGS__); \
  ENTRY(MODULE(SLUICE_EVICTOR, &table, SLUICE_EVICTOR_LAYOUT, NULL, 0, NULL))
#define GOOD_FUNCTIONS create, destroy, wants, state_size, reset, resize, insert, observe, choose

#endif
