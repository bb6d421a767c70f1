/* Keeps its instance when it is destroyed. */
#include "good.h"

static void forget(void* self) { (void)self; }
PUBLISH(create, forget, wants, state_size, reset, resize, insert, observe, choose)
