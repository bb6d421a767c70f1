/* Of a time to come. */
#define FIRST 3
#define LAST 3
#include "plugin.h"
