/* For hosts of two ages. */
#define FIRST 1
#define LAST 2
#include "plugin.h"
