/* sluice/order.h - for evictors, optional: the slots of a lane's tokens in order of age, two bytes each. Which
 * token goes is the evictor's business; finding the oldest, the newest and the gaps is done here.
 *
 * An order is part of an evictor's state and holds no pointers. It works by rank: rank 0 is the oldest token.
 * Removing is done in two steps, so that ranks stay valid while victims are chosen: mark them with
 * sluice_order_remove(), then close the gaps with sluice_order_close(). */
#ifndef SLUICE_ORDER_H
#define SLUICE_ORDER_H

#include <stdio.h>
#include <string.h>

#include "policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A view of one lane's order, passed by value. */
typedef struct sluice_order {
  uint32_t* live; /* tokens in it */
  void* slots;    /* [capacity] by age, uint16_t or uint32_t */
  uint32_t wide;  /* 1: uint32_t */
} sluice_order;

/* Slot ids take 16 bits up to 65,535 slots; the largest value of the width marks a gap. */
static inline size_t sluice_order_width(const sluice_lanes* lanes) { return lanes->capacity <= 0xFFFF ? 2 : 4; }

/* Bytes of the orders of all lanes, a multiple of 8. */
static inline size_t sluice_order_bytes(const sluice_lanes* lanes) {
  size_t bytes = lanes->count * (sizeof(uint32_t) + lanes->capacity * sluice_order_width(lanes));
  return (bytes + 7) & ~(size_t)7;
}

/* `orders`: the bytes, aligned to 4. All zero is empty. */
static inline sluice_order sluice_order_open(const void* orders, const sluice_lanes* lanes, uint32_t lane) {
  sluice_order order;
  size_t width = sluice_order_width(lanes);
  order.live = (uint32_t*)orders + lane;
  order.slots = (char*)orders + lanes->count * sizeof(uint32_t) + (size_t)lane * lanes->capacity * width;
  order.wide = width == 4;
  return order;
}

/* The slot at a rank where there is no gap. */
static inline uint32_t sluice_order_slot(sluice_order order, uint32_t rank) {
  return order.wide ? ((const uint32_t*)order.slots)[rank] : ((const uint16_t*)order.slots)[rank];
}

/* The slot at a rank; SLUICE_FREE where one was removed. */
static inline uint32_t sluice_order_at(sluice_order order, uint32_t rank) {
  uint32_t slot = sluice_order_slot(order, rank);
  return order.wide || slot != 0xFFFF ? slot : SLUICE_FREE;
}

static inline void sluice_order_set(sluice_order order, uint32_t rank, uint32_t slot) {
  if (order.wide)
    ((uint32_t*)order.slots)[rank] = slot;
  else
    ((uint16_t*)order.slots)[rank] = (uint16_t)slot;
}

static inline void sluice_order_append(sluice_order order, uint32_t slot) {
  sluice_order_set(order, (*order.live)++, slot);
}

/* Leaves a gap at the rank; returns the slot that was there. */
static inline uint32_t sluice_order_remove(sluice_order order, uint32_t rank) {
  uint32_t slot = sluice_order_at(order, rank);
  sluice_order_set(order, rank, SLUICE_FREE);
  return slot;
}

/* Closes `gaps` gaps, of which none is before rank `first`. */
static inline void sluice_order_close(sluice_order order, uint32_t first, uint32_t gaps) {
  uint32_t from = first, to = first, found = 0;
  size_t width;
  for (; found < gaps; from++) {
    uint32_t slot = sluice_order_at(order, from);
    sluice_order_set(order, to, slot);
    if (slot == SLUICE_FREE)
      found++;
    else
      to++;
  }
  width = order.wide ? sizeof(uint32_t) : sizeof(uint16_t);
  memmove((char*)order.slots + to * width, (char*)order.slots + from * width, (*order.live - from) * width);
  *order.live -= gaps;
}

/* Does the token at rank a outlast the one at rank b? A higher score does, of equal ones the younger. */
static inline int sluice_order_outlasts(sluice_order order, const float* scores, uint32_t a, uint32_t b) {
  float of_a = scores[sluice_order_slot(order, a)], of_b = scores[sluice_order_slot(order, b)];
  return of_a > of_b || (of_a == of_b && a > b);
}

/* Lets a rank sink to its place in a heap that has the longest-lasting token on top. */
static inline void sluice_order_sink(sluice_order order, const float* scores, uint32_t* heap, uint32_t n, uint32_t at) {
  uint32_t rank = heap[at], child;
  for (; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && sluice_order_outlasts(order, scores, heap[child + 1], heap[child])) child++;
    if (!sluice_order_outlasts(order, scores, heap[child], rank)) break;
    heap[at] = heap[child];
  }
  heap[at] = rank;
}

/* Removes, of the tokens at ranks below `candidates`, the n with the lowest scores[slot], of equal ones the
 * oldest, and writes their slots to victims[n]. 1 <= n <= candidates. One pass with a heap in victims. */
static inline void sluice_order_take_lowest(sluice_order order, const float* scores, uint32_t candidates, uint32_t n,
                                            uint32_t* victims) {
  uint32_t i, oldest = candidates;
  float limit;
  for (i = 0; i < n; i++) victims[i] = i;
  for (i = n / 2; i-- > 0;) sluice_order_sink(order, scores, victims, n, i);
  limit = scores[sluice_order_slot(order, victims[0])];
  for (i = n; i < candidates; i++) {
    if (!(scores[sluice_order_slot(order, i)] < limit)) continue; /* a tie is younger than all of the heap */
    victims[0] = i;
    sluice_order_sink(order, scores, victims, n, 0);
    limit = scores[sluice_order_slot(order, victims[0])];
  }
  for (i = 0; i < n; i++) {
    if (victims[i] < oldest) oldest = victims[i];
    victims[i] = sluice_order_remove(order, victims[i]);
  }
  sluice_order_close(order, oldest, n);
}

/* Removes the n oldest and writes their slots to victims[n]. */
static inline void sluice_order_take_oldest(sluice_order order, uint32_t n, uint32_t* victims) {
  uint32_t rank;
  for (rank = 0; rank < n; rank++) victims[rank] = sluice_order_remove(order, rank);
  sluice_order_close(order, 0, n);
}

/* For resize(): the same tokens in the same order under the slot ids map[old slot]. */
static inline void sluice_order_move(sluice_order to, sluice_order from, const uint32_t* map) {
  uint32_t rank;
  for (rank = 0; rank < *from.live; rank++) sluice_order_append(to, map[sluice_order_slot(from, rank)]);
}

/* For resize(): numbers of a lane's tokens, by slot, to where the tokens go. `from`: their order under the old ids. */
static inline void sluice_order_move_numbers(sluice_order from, const uint32_t* map, const float* old, float* numbers) {
  uint32_t rank;
  for (rank = 0; rank < *from.live; rank++) {
    uint32_t slot = sluice_order_slot(from, rank);
    numbers[map[slot]] = old[slot];
  }
}

/* For insert(): into the orders of all lanes, but for tokens at positions below `sinks`: those never leave. */
static inline void sluice_orders_insert(void* orders, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                                        const uint32_t* positions, uint32_t sinks) {
  uint32_t lane, i;
  for (lane = 0; lane < lanes->count; lane++)
    for (i = 0; i < n; i++)
      if (positions[i] >= sinks)
        sluice_order_append(sluice_order_open(orders, lanes, lane), slots[(size_t)lane * n + i]);
}

/* For resize(): the orders of all lanes; `slots` as resize() gets them. */
static inline void sluice_orders_move(void* orders, const sluice_lanes* lanes, const void* old,
                                      const sluice_lanes* old_lanes, const uint32_t* slots) {
  uint32_t lane;
  for (lane = 0; lane < lanes->count; lane++)
    sluice_order_move(sluice_order_open(orders, lanes, lane), sluice_order_open(old, old_lanes, lane),
                      slots + (size_t)lane * old_lanes->capacity);
}

/* For reset(): SLUICE_OK if `kept` tokens that must never leave fit into what is left after an eviction. */
static inline sluice_status sluice_check_kept(const sluice_host* host, const char* name, const sluice_lanes* lanes,
                                              uint32_t recent, uint32_t sinks) {
  char message[256];
  int64_t target = (int64_t)lanes->budget - lanes->interval + 1;
  if (target >= 1 && (int64_t)recent + sinks <= target) return SLUICE_OK;
  snprintf(message, sizeof message,
           "%s: recent %lu and sinks %lu do not fit: with budget %lu and interval %lu, %lld tokens stay after an "
           "eviction; raise the budget or lower recent, sinks or interval",
           name, (unsigned long)recent, (unsigned long)sinks, (unsigned long)lanes->budget,
           (unsigned long)lanes->interval, (long long)target);
  return host->fail(host, SLUICE_INVALID, message);
}

#ifdef __cplusplus
}
#endif
#endif
