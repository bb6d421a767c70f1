/* Refuses to be created and does not say why. */
#include "good.h"

static sluice_status refuse(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  (void)host, (void)geometry, (void)params, (void)self;
  return SLUICE_INVALID;
}
PUBLISH(refuse, destroy, wants, state_size, reset, resize, insert, observe, choose)
