/* sluice/attention.h - for evictors, optional: the tokens of the lanes in order of age, what the last queries paid to
 * each of them, as a running window, and its pooling over neighbouring tokens (SnapKV). It is part of an evictor's
 * state, 8 bytes per slot beside the order's, and holds no pointers; which token goes is the evictor's business.
 *
 * A window of w queries is two sums per slot: when the newer one has seen at least w / 2 queries, it becomes the older
 * one and a newer begins. So it reaches back over the last w / 2 to w queries, give or take one observation, and
 * forgets what lies before. */
#ifndef SLUICE_ATTENTION_H
#define SLUICE_ATTENTION_H

#include "order.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A view, passed by value. */
typedef struct sluice_attention {
  uint64_t* seen;       /* queries in `newer` */
  float *newer, *older; /* [count][capacity] by slot */
  void* orders;
} sluice_attention;

/* A multiple of 8. All zero is empty. */
static inline size_t sluice_attention_bytes(const sluice_lanes* lanes) {
  return sizeof(uint64_t) + 2 * sizeof(float) * (size_t)lanes->count * lanes->capacity + sluice_order_bytes(lanes);
}

/* `memory`: the bytes, aligned to 8. */
static inline sluice_attention sluice_attention_open(const void* memory, const sluice_lanes* lanes) {
  sluice_attention paid;
  paid.seen = (uint64_t*)memory;
  paid.newer = (float*)(paid.seen + 1);
  paid.older = paid.newer + (size_t)lanes->count * lanes->capacity;
  paid.orders = paid.older + (size_t)lanes->count * lanes->capacity;
  return paid;
}

static inline sluice_order sluice_attention_order(sluice_attention paid, const sluice_lanes* lanes, uint32_t lane) {
  return sluice_order_open(paid.orders, lanes, lane);
}

static inline size_t sluice_attention_cell(const sluice_lanes* lanes, uint32_t lane, uint32_t slot) {
  return (size_t)lane * lanes->capacity + slot;
}

/* For insert(): tokens begin with nothing. */
static inline void sluice_attention_insert(sluice_attention paid, const sluice_lanes* lanes, uint32_t n,
                                           const uint32_t* slots) {
  uint32_t lane, i;
  for (lane = 0; lane < lanes->count; lane++)
    for (i = 0; i < n; i++) {
      uint32_t slot = slots[(size_t)lane * n + i];
      size_t cell = sluice_attention_cell(lanes, lane, slot);
      paid.newer[cell] = paid.older[cell] = 0;
      sluice_order_append(sluice_attention_order(paid, lanes, lane), slot);
    }
}

/* For observe(): of a prompt the signal must have been asked with the same window. */
static inline void sluice_attention_observe(sluice_attention paid, const sluice_lanes* lanes, uint32_t window,
                                            uint32_t queries, const float* signal) {
  size_t count = (size_t)lanes->count * lanes->capacity, i;
  if (queries >= window) {
    memset(paid.older, 0, count * sizeof(float));
    memcpy(paid.newer, signal, count * sizeof(float));
    *paid.seen = window;
    return;
  }
  if (*paid.seen * 2 >= window) {
    memcpy(paid.older, paid.newer, count * sizeof(float));
    memcpy(paid.newer, signal, count * sizeof(float));
    *paid.seen = queries;
    return;
  }
  for (i = 0; i < count; i++) paid.newer[i] += signal[i];
  *paid.seen += queries;
}

/* For resize(): all of it; `slots` as resize() gets them. */
static inline void sluice_attention_resize(sluice_attention paid, const sluice_lanes* lanes, sluice_attention old,
                                           const sluice_lanes* old_lanes, const uint32_t* slots) {
  uint32_t lane;
  *paid.seen = *old.seen;
  sluice_orders_move(paid.orders, lanes, old.orders, old_lanes, slots);
  for (lane = 0; lane < lanes->count; lane++) {
    sluice_order order = sluice_attention_order(old, old_lanes, lane);
    const uint32_t* map = slots + (size_t)lane * old_lanes->capacity;
    size_t from = sluice_attention_cell(old_lanes, lane, 0), to = sluice_attention_cell(lanes, lane, 0);
    sluice_order_move_numbers(order, map, old.newer + from, paid.newer + to);
    sluice_order_move_numbers(order, map, old.older + from, paid.older + to);
  }
}

/* What the window paid to a token. */
static inline float sluice_attention_of(sluice_attention paid, const sluice_lanes* lanes, uint32_t lane,
                                        uint32_t slot) {
  size_t cell = sluice_attention_cell(lanes, lane, slot);
  return paid.newer[cell] + paid.older[cell];
}

enum { SLUICE_POOL_MEAN = 0, SLUICE_POOL_PEAK = 1 };

/* scores[slot] of the tokens at the n oldest ranks: the mean or the peak of what was paid to them and to the
 * kernel / 2 neighbours on either side; beyond the n there is nothing, which counts 0. `kernel` is odd. */
static inline void sluice_attention_pool(sluice_attention paid, const sluice_lanes* lanes, uint32_t lane, uint32_t n,
                                         uint32_t kernel, uint32_t pool, float* scores) {
  sluice_order order = sluice_attention_order(paid, lanes, lane);
  uint32_t half = kernel / 2, rank, near;
  for (rank = 0; rank < n; rank++) {
    uint32_t first = rank > half ? rank - half : 0, last = n - rank > half ? rank + half : n - 1;
    float sum = 0, peak = 0;
    for (near = first; near <= last; near++) {
      float x = sluice_attention_of(paid, lanes, lane, sluice_order_slot(order, near));
      sum += x;
      if (x > peak) peak = x;
    }
    scores[sluice_order_slot(order, rank)] = pool == SLUICE_POOL_PEAK ? peak : sum / (float)kernel;
  }
}

#ifdef __cplusplus
}
#endif
#endif
