/* Made when revision 1 was the newest. */
#define FIRST 1
#define LAST 1
#include "plugin.h"
