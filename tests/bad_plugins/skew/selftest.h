/* An interface that only tests know, in two revisions, and plugins that offer some of them: what happens when host and
 * plugin are of different age. Each plugin beside this file is one list of revisions. */
#ifndef SLUICE_SELFTEST_H
#define SLUICE_SELFTEST_H

#include "sluice/plugin.h"

#define SELFTEST_1 "sluice.selftest/1"
#define SELFTEST_2 "sluice.selftest/2"
#define SELFTEST_3 "sluice.selftest/3"
enum { SELFTEST_1_LAYOUT = 0x51, SELFTEST_2_LAYOUT = 0x52, SELFTEST_3_LAYOUT = 0x53 };

/* Revision 1 knows one answer; revision 2 can be told what to add to it. */
typedef struct selftest_1 {
  int32_t (*answer)(void);
} selftest_1;
typedef struct selftest_2 {
  int32_t (*answer)(int32_t more);
} selftest_2;

#endif
