// See foreign_cpu.h.
#include "core/bench/foreign_cpu.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

namespace sluice {
namespace {

std::string contents(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The next number of a line; none at its end.
std::optional<uint64_t> next_number(std::string_view& line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc()) return std::nullopt;
  line.remove_prefix(size_t(end - line.data()));
  return number;
}

}  // namespace

// cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are in user and nice already.
std::optional<CpuTicks> parse_cpu_ticks(std::string_view stat) {
  if (!stat.starts_with("cpu ")) return std::nullopt;
  std::string_view line = stat.substr(4, stat.find('\n') - 4);
  CpuTicks ticks;
  for (int field = 0; field < 8; field++) {
    const auto number = next_number(line);
    if (!number && field < 4) return std::nullopt;  // the others came with later kernels
    ticks.all += number.value_or(0);
    if (field != 3 && field != 4) ticks.busy += number.value_or(0);
  }
  return ticks;
}

std::optional<uint64_t> parse_process_ticks(std::string_view stat) {
  // The second field is a name in parentheses and may hold anything; fields 14 and 15 are the process's time.
  const size_t name_end = stat.rfind(')');
  if (name_end == stat.npos || name_end + 4 > stat.size()) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 4);  // past ") S"
  uint64_t ticks = 0;
  for (int field = 4; field <= 15; field++) {
    if (field == 8) {  // -1 where there is no terminal
      while (rest.starts_with(' ')) rest.remove_prefix(1);
      if (rest.starts_with('-')) rest.remove_prefix(1);
    }
    const auto number = next_number(rest);
    if (!number) return std::nullopt;
    if (field >= 14) ticks += *number;
  }
  return ticks;
}

double foreign_share(const CpuTicks& before, const CpuTicks& after, double own) {
  if (after.all <= before.all) return kUnknown;
  const double busy = double(after.busy - before.busy), all = double(after.all - before.all);
  return std::clamp((busy - own) / all, 0.0, 1.0);
}

ForeignCpu::ForeignCpu(pid_t worker) : worker_(worker) {
  before_ = parse_cpu_ticks(contents("/proc/stat"));
  own_before_ = own_ticks();
}

double ForeignCpu::own_ticks() const {
  if (worker_) return double(parse_process_ticks(contents(fmt::format("/proc/{}/stat", worker_))).value_or(0));
  rusage used{};  // finer than ticks
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return (seconds(used.ru_utime) + seconds(used.ru_stime)) * double(sysconf(_SC_CLK_TCK));
}

double ForeignCpu::share() const {
  const auto after = parse_cpu_ticks(contents("/proc/stat"));
  if (!before_ || !after) return kUnknown;
  return foreign_share(*before_, *after, own_ticks() - own_before_);
}

}  // namespace sluice
