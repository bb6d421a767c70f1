/* An evictor that does nothing, from which each plugin here makes one mistake. */
#ifndef SLUICE_BAD_PLUGINS_COMMON_H
#define SLUICE_BAD_PLUGINS_COMMON_H

#include "sluice/policy.h"

static int self_;

static inline sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                                   void** self) {
  (void)host, (void)geometry, (void)params;
  *self = &self_;
  return SLUICE_OK;
}
static inline void destroy(void* self) { (void)self; }
static inline void signal(const void* self, uint32_t prompt, sluice_signal* wanted) {
  (void)self, (void)prompt;
  wanted->kind = SLUICE_NO_SIGNAL;
}
static inline size_t state_size(const void* self, const sluice_lanes* lanes) {
  (void)self, (void)lanes;
  return 0;
}
static inline sluice_status reset(const void* self, void* state, const sluice_lanes* lanes) {
  (void)self, (void)state, (void)lanes;
  return SLUICE_OK;
}
static inline void resize(const void* self, void* state, const sluice_lanes* lanes, const void* old,
                          const sluice_lanes* old_lanes, const uint32_t* slots) {
  (void)self, (void)state, (void)lanes, (void)old, (void)old_lanes, (void)slots;
}
static inline void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                          const uint32_t* positions) {
  (void)self, (void)state, (void)lanes, (void)n, (void)slots, (void)positions;
}
static inline void observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t queries,
                           const float* values) {
  (void)self, (void)state, (void)lanes, (void)queries, (void)values;
}
static inline sluice_status select_victims(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                           uint32_t* victims) {
  (void)self, (void)state, (void)lanes, (void)n, (void)victims;
  return SLUICE_OK;
}

#define IDLE_EVICTOR \
  { create, destroy, signal, state_size, reset, resize, insert, observe, select_victims }
#define ENTRY(...)                                   \
  static const sluice_plugin plugin = {__VA_ARGS__}; \
  const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }

#endif
