/* Refuses a head size without a word. */
#include "good.h"

static sluice_status create_silently(const sluice_host* host, const sluice_geometry* geometry,
                                     const sluice_value* params, void** self) {
  if (geometry->head_dim == 80) return SLUICE_UNSUPPORTED;
  return create(host, geometry, params, self);
}

CODEC(create_silently, plan, bound, scratch, encode, decode, account, retain, dot, accumulate)
