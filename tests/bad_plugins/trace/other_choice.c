/* Keeps every promise that all evictors give, but the oldest tokens leave and not those with the least attention. */
#include "../check/good.h"

static sluice_status oldest(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  const sluice_host* host = ((const instance*)self)->host;
  uint32_t lane, i;
  for (lane = 0; lane < lanes->count; lane++)
    if (*order_of(state, lanes, lane).live < n)
      return host->fail(host, SLUICE_INVALID, "asked for more victims than there are tokens");
  for (lane = 0; n > 0 && lane < lanes->count; lane++) {
    sluice_order order = order_of(state, lanes, lane);
    for (i = 0; i < n; i++) victims[(size_t)lane * n + i] = sluice_order_remove(order, i);
    sluice_order_close(order, 0, n);
  }
  return SLUICE_OK;
}

PUBLISH(create, destroy, wants, state_size, reset, resize, insert, observe, oldest)
