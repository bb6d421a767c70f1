/* sluice/attention.h - for evictors, optional: what the last queries paid to each token of a lane, as a running window,
 * and its pooling over neighbouring tokens (SnapKV). It is part of an evictor's state, 8 bytes per slot, and holds no
 * pointers; which token goes is the evictor's business.
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
} sluice_attention;

/* A multiple of 8. All zero is empty. */
static inline size_t sluice_attention_bytes(const sluice_lanes* lanes) {
  return sizeof(uint64_t) + 2 * sizeof(float) * (size_t)lanes->count * lanes->capacity;
}

/* `memory`: the bytes, aligned to 8. */
static inline sluice_attention sluice_attention_open(const void* memory, const sluice_lanes* lanes) {
  sluice_attention paid;
  paid.seen = (uint64_t*)memory;
  paid.newer = (float*)(paid.seen + 1);
  paid.older = paid.newer + (size_t)lanes->count * lanes->capacity;
  return paid;
}

static inline size_t sluice_attention_cell(const sluice_lanes* lanes, uint32_t lane, uint32_t slot) {
  return (size_t)lane * lanes->capacity + slot;
}

/* For insert(): a token begins with nothing. */
static inline void sluice_attention_enter(sluice_attention paid, const sluice_lanes* lanes, uint32_t lane,
                                          uint32_t slot) {
  size_t cell = sluice_attention_cell(lanes, lane, slot);
  paid.newer[cell] = paid.older[cell] = 0;
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

/* For resize(): the tokens of one lane, whose order `from` has the old slots. */
static inline void sluice_attention_move(sluice_attention to, const sluice_lanes* lanes, sluice_attention old,
                                         const sluice_lanes* old_lanes, uint32_t lane, sluice_order from,
                                         const uint32_t* map) {
  uint32_t rank;
  *to.seen = *old.seen;
  for (rank = 0; rank < *from.live; rank++) {
    uint32_t slot = sluice_order_slot(from, rank);
    size_t cell = sluice_attention_cell(lanes, lane, map[slot]);
    size_t old_cell = sluice_attention_cell(old_lanes, lane, slot);
    to.newer[cell] = old.newer[old_cell];
    to.older[cell] = old.older[old_cell];
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
static inline void sluice_attention_pool(sluice_attention paid, const sluice_lanes* lanes, uint32_t lane,
                                         sluice_order order, uint32_t n, uint32_t kernel, uint32_t pool,
                                         float* scores) {
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
