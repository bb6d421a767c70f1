/* Uses a function that nobody provides, as a plugin built against a newer library would. */
#include "common.h"

int nobody_provides_this(void);
const sluice_plugin* sluice_plugin_entry(void) { return nobody_provides_this() ? NULL : NULL; }
