/* Never says what it has. */
#include <unistd.h>

#include "../common.h"

const sluice_plugin* sluice_plugin_entry(void) {
  for (;;) pause();
}
