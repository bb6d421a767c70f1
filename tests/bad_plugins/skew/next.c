/* For hosts of today and of a time to come. */
#define FIRST 2
#define LAST 3
#include "plugin.h"
