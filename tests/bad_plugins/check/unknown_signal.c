/* Wants a signal that there is not. */
#include "good.h"

static void wish(const void* self, uint32_t prompt, sluice_signal* wanted) {
  wants(self, prompt, wanted);
  wanted->kind = 7;
}
PUBLISH(create, destroy, wish, state_size, reset, resize, insert, observe, choose)
