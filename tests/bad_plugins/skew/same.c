/* Made when revision 2 was. */
#define FIRST 2
#define LAST 2
#include "plugin.h"
