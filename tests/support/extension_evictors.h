// Evictors made in memory that offer what sluice/extensions.h lets them: rows of K and V decide, a prompt's last
// queries decide, layers or heads get shares of their own. Simple on purpose, so that tests can say who must leave;
// tests of the cache alone may also look on, or have them lie.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "sluice/extensions.h"
#include "sluice/order.h"

namespace sluice::testing {

// For tests that drive one cache on one thread.
struct ExtensionHooks {
  std::string lie;  // what goes wrong now
  std::function<void(const sluice_lanes&, uint32_t n, const uint32_t* slots, const uint32_t* positions,
                     const sluice_rows&)>
      inserted;
  std::function<void(const sluice_lanes&, const sluice_rows&)> selecting;
  std::function<void(const sluice_lanes&, uint32_t count, const float* queries, const uint32_t* positions,
                     const sluice_rows&)>
      window;
  std::vector<std::string> calls;  // in order, while `log` is set
  bool log = false;
  int destroyed = 0;      // instances of the evictors here
  bool reversed = false;  // test-ragged favours the first lanes instead of the last
  void note(const char* verb) {
    if (log) calls.push_back(verb);
  }
};
inline ExtensionHooks hooks;

namespace extension_evictor {

struct Self {
  const sluice_host* host;
  sluice_geometry geometry;
};
inline const Self& self_of(const void* self) { return *static_cast<const Self*>(self); }

inline sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value*, void** out) {
  auto* self = static_cast<Self*>(host->alloc(host, sizeof(Self), alignof(Self)));
  if (!self) return SLUICE_NO_MEMORY;
  *self = {host, *geometry};
  *out = self;
  return SLUICE_OK;
}
inline void destroy(void* self) {
  const sluice_host* host = self_of(self).host;
  hooks.destroyed++;
  host->free(host, self);
}
inline void no_signal(const void*, uint32_t, sluice_signal* wanted) { *wanted = {}; }

// State: orders of all tokens, then a score per slot.
inline float* scores_of(void* state, const sluice_lanes* lanes, uint32_t lane) {
  return reinterpret_cast<float*>(static_cast<char*>(state) + sluice_order_bytes(lanes)) +
         size_t(lane) * lanes->capacity;
}
inline size_t state_size(const void*, const sluice_lanes* lanes) {
  return sluice_order_bytes(lanes) + size_t(lanes->count) * lanes->capacity * sizeof(float);
}
inline sluice_status reset(const void*, void*, const sluice_lanes*) { return SLUICE_OK; }
inline void resize(const void*, void* state, const sluice_lanes* lanes, const void* old, const sluice_lanes* old_lanes,
                   const uint32_t* slots) {
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const uint32_t* map = slots + size_t(lane) * old_lanes->capacity;
    sluice_order_move(sluice_order_open(state, lanes, lane), sluice_order_open(old, old_lanes, lane), map);
    const float* from = scores_of(const_cast<void*>(old), old_lanes, lane);
    for (uint32_t s = 0; s < old_lanes->capacity; s++)
      if (map[s] != SLUICE_FREE) scores_of(state, lanes, lane)[map[s]] = from[s];
  }
}
inline void insert(const void*, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                   const uint32_t*) {
  hooks.note("insert");
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t slot = slots[size_t(lane) * n + i];
      sluice_order_append(sluice_order_open(state, lanes, lane), slot);
      scores_of(state, lanes, lane)[slot] = std::numeric_limits<float>::max();
    }
}
inline void observe(const void*, void*, const sluice_lanes*, uint32_t, const float*) {}
// The n tokens of a lane that have the lowest scores, of equal ones the oldest.
inline void take(void* state, const sluice_lanes* lanes, uint32_t lane, uint32_t n, uint32_t* victims) {
  const sluice_order order = sluice_order_open(state, lanes, lane);
  if (n) sluice_order_take_lowest(order, scores_of(state, lanes, lane), *order.live, n, victims);
}
inline sluice_status select(const void*, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  hooks.note("select");
  for (uint32_t lane = 0; lane < lanes->count; lane++) take(state, lanes, lane, n, victims + size_t(lane) * n);
  if (hooks.lie == "twice") victims[1] = victims[0];
  return SLUICE_OK;
}

// A live token's score becomes what the row of its first kv head says: the smaller its square sum, the higher.
inline sluice_status score_rows(void* state, const sluice_lanes* lanes, uint32_t lane, uint32_t side,
                                const sluice_rows* rows) {
  const sluice_order order = sluice_order_open(state, lanes, lane);
  float row[256];
  for (uint32_t rank = 0; rank < *order.live; rank++) {
    uint32_t slot = sluice_order_slot(order, rank);
    const sluice_status status = rows->read(rows, lane, side, 1, &slot, row);
    if (status != SLUICE_OK) return status;
    float sum = 0;
    for (uint32_t c = 0; c < rows->head_dim; c++) sum += row[c] * row[c];
    scores_of(state, lanes, lane)[slot] = -sum;
  }
  return SLUICE_OK;
}

// ---- test-rows ----

inline void rows_inserted(const void*, void*, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                          const uint32_t* positions, const sluice_rows* rows) {
  hooks.note("inserted");
  if (hooks.inserted) hooks.inserted(*lanes, n, slots, positions, *rows);
  float row[256];
  const uint32_t wrong = lanes->capacity;
  if (hooks.lie == "slot") rows->read(rows, 0, SLUICE_KEY, 1, &wrong, row);
  if (hooks.lie == "head") rows->read(rows, rows->kv_heads, SLUICE_KEY, 1, slots, row);
}
inline sluice_status rows_select(const void* self, void* state, const sluice_lanes* lanes, uint32_t n,
                                 const sluice_rows* rows, uint32_t* victims) {
  if (hooks.selecting) hooks.selecting(*lanes, *rows);
  for (uint32_t lane = 0; lane < lanes->count; lane++)
    if (const sluice_status status = score_rows(state, lanes, lane, SLUICE_KEY, rows); status != SLUICE_OK)
      return status;
  return select(self, state, lanes, n, victims);
}
inline constexpr sluice_evictor_rows kRows = {SLUICE_EVICTOR_ROWS_LAYOUT, 0, rows_inserted, rows_select};

// ---- test-window: a token's score is the sum of q . k over the window's queries that see it ----

inline uint32_t window_size(const void*) { return hooks.lie == "window" ? SLUICE_WINDOW_MOST + 1 : 16; }
inline void window_observe(const void* self, void* state, const sluice_lanes* lanes, uint32_t count,
                           const float* queries, const uint32_t* positions, const sluice_rows* rows) {
  hooks.note("window");
  if (hooks.window) hooks.window(*lanes, count, queries, positions, *rows);
  const uint32_t d = rows->head_dim, per = self_of(self).geometry.heads / rows->kv_heads;
  float row[256];
  for (uint32_t lane = 0; lane < lanes->count; lane++) {
    const sluice_order order = sluice_order_open(state, lanes, lane);
    // The newest tokens are the window's own; they stay.
    for (uint32_t rank = 0; rank + count < *order.live; rank++) {
      uint32_t slot = sluice_order_slot(order, rank);
      if (rows->read(rows, lane, SLUICE_KEY, 1, &slot, row) != SLUICE_OK) return;
      float sum = 0;
      for (uint32_t h = lane * per; h < (lane + 1) * per; h++)
        for (uint32_t i = 0; i < count; i++)
          for (uint32_t c = 0; c < d; c++) sum += queries[(size_t(h) * count + i) * d + c] * row[c];
      scores_of(state, lanes, lane)[slot] = sum;
    }
  }
}
inline constexpr sluice_evictor_window kWindow = {SLUICE_EVICTOR_WINDOW_LAYOUT, 0, window_size, window_observe};

// ---- test-layers: earlier layers get more; test-ragged: so do later heads, where the largest values leave ----

inline uint32_t layer_budget(const void* self, uint32_t layer, uint32_t budget, uint32_t interval) {
  const uint32_t layers = self_of(self).geometry.layers;
  if (hooks.lie == "sum") return budget + 1;
  if (hooks.lie == "small") return interval - 1;
  return budget * 2 * (layers - layer) / (layers + 1);
}
inline uint32_t same_budget(const void*, uint32_t, uint32_t budget, uint32_t) { return budget; }
// One by one from the lane that is longest for its weight.
inline sluice_status split(const void*, void*, const sluice_lanes* lanes, const uint32_t* live, uint32_t total,
                           uint32_t* counts) {
  hooks.note("split");
  for (uint32_t left = total; left > 0; left--) {
    uint32_t longest = 0;
    double most = -1;
    for (uint32_t lane = 0; lane < lanes->count; lane++) {
      const uint32_t held = live[lane] - counts[lane];
      const double length = double(held) / (hooks.reversed ? lanes->count - lane : lane + 1);
      if (held > 1 && length > most) longest = lane, most = length;
    }
    counts[longest]++;
  }
  if (hooks.lie == "counts") counts[0]++;
  if (hooks.lie == "all") counts[0] = live[0];
  return SLUICE_OK;
}
inline sluice_status ragged_select(const void*, void* state, const sluice_lanes* lanes, const uint32_t* counts,
                                   const sluice_rows* rows, uint32_t* victims) {
  hooks.note("ragged select");
  uint32_t* named = victims;
  for (uint32_t lane = 0; lane < lanes->count; named += counts[lane++]) {
    if (const sluice_status status = score_rows(state, lanes, lane, SLUICE_VALUE, rows); status != SLUICE_OK)
      return status;
    take(state, lanes, lane, counts[lane], named);
  }
  if (hooks.lie == "twice") victims[1] = victims[0];
  return SLUICE_OK;
}
inline constexpr sluice_evictor_budget kLayers = {SLUICE_EVICTOR_BUDGET_LAYOUT, 0, layer_budget, nullptr, nullptr};
inline constexpr sluice_evictor_budget kRagged = {SLUICE_EVICTOR_BUDGET_LAYOUT, 1, same_budget, split, ragged_select};

// ---- test-part: does all that a part of it says; its parameters are the part's name and the part's parameters ----

struct Whole {
  const sluice_host* host;
  const sluice_host_modules* modules;
  sluice_part_module part;
};
inline const Whole& whole_of(const void* self) { return *static_cast<const Whole*>(self); }
inline const sluice_evictor& part_table(const void* self) {
  return *static_cast<const sluice_evictor*>(whole_of(self).part.module->table);
}
inline void* part_self(const void* self) { return whole_of(self).part.self; }

inline sluice_status whole_create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                                  void** out) {
  const auto* modules = static_cast<const sluice_host_modules*>(host->extension(host, SLUICE_HOST_MODULES));
  if (!modules || modules->layout != SLUICE_HOST_MODULES_LAYOUT)
    return host->fail(host, SLUICE_UNSUPPORTED, "this host lets no module have parts");
  auto* whole = static_cast<Whole*>(host->alloc(host, sizeof(Whole), alignof(Whole)));
  if (!whole) return SLUICE_NO_MEMORY;
  *whole = {host, modules, {}};
  const sluice_status status = modules->create(host, SLUICE_EVICTOR, params[0].s, geometry, params[1].s, &whole->part);
  if (status != SLUICE_OK) {
    host->free(host, whole);
    return status;
  }
  *out = whole;
  return SLUICE_OK;
}
inline void whole_destroy(void* self) {
  const Whole whole = whole_of(self);
  if (hooks.lie != "leak") whole.modules->destroy(whole.host, &whole.part);
  whole.host->free(whole.host, self);
}
inline constexpr sluice_evictor kWholeTable = {
    whole_create,
    whole_destroy,
    [](const void* self, uint32_t prompt, sluice_signal* wanted) {
      part_table(self).signal(part_self(self), prompt, wanted);
    },
    [](const void* self, const sluice_lanes* lanes) { return part_table(self).state_size(part_self(self), lanes); },
    [](const void* self, void* state, const sluice_lanes* lanes) {
      return part_table(self).reset(part_self(self), state, lanes);
    },
    [](const void* self, void* state, const sluice_lanes* lanes, const void* old, const sluice_lanes* old_lanes,
       const uint32_t* slots) { part_table(self).resize(part_self(self), state, lanes, old, old_lanes, slots); },
    [](const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
       const uint32_t* positions) { part_table(self).insert(part_self(self), state, lanes, n, slots, positions); },
    [](const void* self, void* state, const sluice_lanes* lanes, uint32_t queries, const float* signal) {
      part_table(self).observe(part_self(self), state, lanes, queries, signal);
    },
    [](const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
      return part_table(self).select(part_self(self), state, lanes, n, victims);
    }};
inline constexpr sluice_param kWholeParams[] = {
    {"part", "an evictor", nullptr, SLUICE_STRING, 1, {}, {}, {}},
    {"with", "its parameters", nullptr, SLUICE_STRING, 0, {.s = ""}, {}, {}},
};

inline constexpr sluice_evictor kTable = {create, destroy, no_signal, state_size, reset,
                                          resize, insert,  observe,   select};

template <const auto& table, const auto& id>
const void* offers(const char* wanted) {
  return std::strcmp(wanted, id) == 0 ? &table : nullptr;
}
inline constexpr char kRowsId[] = SLUICE_EVICTOR_ROWS, kWindowId[] = SLUICE_EVICTOR_WINDOW,
                      kBudgetId[] = SLUICE_EVICTOR_BUDGET;
inline constexpr sluice_module module(const char* name, const void* (*extension)(const char*)) {
  return {SLUICE_EVICTOR, &kTable, SLUICE_EVICTOR_LAYOUT, 0, nullptr, name, "for tests", "1", nullptr, extension};
}
inline constexpr sluice_module whole(const char* name) {
  return {SLUICE_EVICTOR, &kWholeTable, SLUICE_EVICTOR_LAYOUT, 2, kWholeParams, name, "for tests", "1",
          nullptr,        nullptr};
}

}  // namespace extension_evictor

inline const sluice_plugin& extension_evictors_plugin() {
  using namespace extension_evictor;
  static const sluice_module list[] = {module("test-rows", offers<kRows, kRowsId>),
                                       module("test-window", offers<kWindow, kWindowId>),
                                       module("test-layers", offers<kLayers, kBudgetId>),
                                       module("test-ragged", offers<kRagged, kBudgetId>),
                                       whole("test-part"),
                                       whole("test-part-too")};
  static const sluice_module* const modules[] = {&list[0], &list[1], &list[2], &list[3], &list[4], &list[5]};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 6, modules, "test"};
  return plugin;
}

}  // namespace sluice::testing
