// The modes of `sluice bench` besides its plain table.
#pragma once

#include "apps/bench_plan.h"

namespace sluice {

int bench_pair(const Words& words);    // --pair A --pair B, or a configuration --versus a driver
int bench_kernel(const Words& words);  // --kernel NAME

}  // namespace sluice
