/* Fills a table before anybody asks for it. */
#include "good.h"

static volatile int filled;
__attribute__((constructor)) static void fill_table(void) { filled = 1; }
PUBLISH(GOOD_FUNCTIONS)
