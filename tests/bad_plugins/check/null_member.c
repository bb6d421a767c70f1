/* Has no observe(). */
#include "good.h"

PUBLISH(create, destroy, wants, state_size, reset, resize, insert, NULL, choose)
