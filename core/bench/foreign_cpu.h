// How much of this machine's processors others used while something was timed: what /proc/stat counts as busy, minus
// what the process at work used.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/report/result.h"

namespace sluice {

// Of all cores since the system started, in clock ticks.
struct CpuTicks {
  uint64_t busy = 0;  // for processes, the kernel and, of a virtual machine, its neighbours
  uint64_t all = 0;   // busy or idle
};
// From the text of /proc/stat; none if its first line is not the sum over cores.
std::optional<CpuTicks> parse_cpu_ticks(std::string_view stat);
// What a process used so far, from the text of /proc/PID/stat, in clock ticks.
std::optional<uint64_t> parse_process_ticks(std::string_view stat);

// The share of all cores' time that others used, 0 to 1. Unknown if no tick passed. `own`: ticks of the one at work.
double foreign_share(const CpuTicks& before, const CpuTicks& after, double own);

// A slice counts where others used less than this.
inline constexpr double kMostForeign = 0.08;

class ForeignCpu {
 public:
  // From now on. `worker`: the process at work, 0 for this one. Only its own use counts as such: another process that
  // belongs to the comparison and spins while it should wait is in the way like any other.
  explicit ForeignCpu(pid_t worker = 0);
  double share() const;  // until now; unknown where the system does not tell

 private:
  double own_ticks() const;
  pid_t worker_;
  std::optional<CpuTicks> before_;
  double own_before_;
};

}  // namespace sluice
