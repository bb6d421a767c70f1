// `sluice bench --kernel`: a hot kernel alone. Needs no model.
#include <fmt/format.h>

#include <cmath>

#include "apps/bench_modes.h"
#include "apps/bench_table.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/bench/kernel_bench.h"

namespace sluice {
namespace {

struct KernelLine {
  KernelCall kernel;
  KernelFigures figures;
  std::string data, instructions, precision;
  uint32_t threads = 0;
  std::shared_ptr<const RoofPair> roofs;
};

std::vector<Field> kernel_fields(const KernelLine& line) {
  const Roof roof = line.roofs ? line.roofs->between() : Roof{};
  const KernelCall& k = line.kernel;
  const double seconds = line.figures.seconds;
  const double bytes = k.bytes / seconds, ops = k.operations > 0 ? k.operations / seconds : kUnknown;
  const double multiply = multiply_share(roof, k.integers ? ops : 0, k.integers ? 0 : ops);
  // What lies in a cache is not bound by memory.
  const double read = line.data == "memory" ? bytes / roof.bandwidth : kUnknown;
  std::vector<Field> f;
  f.push_back(text_field("name", "kernel", k.name));
  f.push_back(count_field("threads", "threads", line.threads));
  f.push_back(text_field("data", "data", line.data));
  f.push_back(count_field("calls", "", line.figures.calls));
  const std::string spread =
      std::isfinite(line.figures.seconds_sd) ? fmt::format(" ± {:.2f}", line.figures.seconds_sd * 1e6) : "";
  f.push_back({{"us", "us"}, Cell(seconds * 1e6, fmt::format("{:.2f}{}", seconds * 1e6, spread))});
  f.push_back({{"us_sd", ""}, Cell(line.figures.seconds_sd * 1e6)});
  f.push_back(decimal_field("gop_s", "GOP/s", ops / 1e9, 1));
  f.push_back(decimal_field("gb_s", "GB/s", bytes / 1e9, 1));
  f.push_back(share_field("bandwidth_share", "of bandwidth", read));
  f.push_back(share_field("multiply_share", "of multiply peak", std::isfinite(ops) ? multiply : kUnknown));
  f.push_back(text_field("kernel", "ISA", line.instructions));
  f.push_back(text_field("precision", "precision", line.precision));
  add_void_fields(f, line.roofs ? *line.roofs : RoofPair{});
  return f;
}

void print_names(const std::vector<KernelName>& names, Format format) {
  Table table;
  table.name = "kernels";
  table.columns = {{"name", "kernel", false}, {"what", "what", false}};
  for (const KernelName& kernel : names) table.rows.push_back({kernel.name, kernel.what});
  write_stdout(write_table(table, format));
}

}  // namespace

int bench_kernel(const Words& words) {
  const BenchPlan plan = parse_bench_plan(words, true);
  const std::string name = words.text("kernel"), data = words.choice("kernel-data", "memory", "memory|cache");
  BenchOutput output("kernels", plan.format, kernel_fields({}));
  for (const uint32_t t : plan.threads) {
    if (interrupted()) break;
    Session session = open_configs(words.positional, with_threads(words, t));
    if (session.configs.size() != 1)
      throw Error(fmt::format("--kernel takes one configuration, for its backend and codec; these are {}",
                              session.configs.size()));
    const Config& config = session.configs.front();
    const bool exact = wants_exact(words, config);
    KernelBench bench(*session.registry, config, data == "cache" ? KernelData::kCache : KernelData::kMemory, exact);
    const std::vector<KernelName> all = bench.names();
    if (name == "list") {
      print_names(all, plan.format);
      return kExitOk;
    }
    std::vector<std::string> chosen = {name};
    if (name == "all") {
      chosen.clear();
      for (const KernelName& kernel : all) chosen.push_back(kernel.name);
    }
    const std::string instructions = bench.device().kernels;
    const auto roofs = roof_before(*session.pool, instructions, plan.roof);
    const HangGuard::Block kept(*session.hang_guard);
    session.hang_guard->keep([&] { output.publish(); });
    Progress progress(chosen.size(), "kernels");
    for (const std::string& each : chosen) {
      if (interrupted()) break;
      KernelLine line{bench.make(each), {}, data, instructions, exact ? "exact" : "fast", session.threads(), roofs};
      line.figures = time_kernel(line.kernel, plan.repeats);
      line.kernel.call = {};  // with what it works on
      output.add([line] { return kernel_fields(line); });
      progress.advance(1, each);
    }
    progress.clear();
    if (!interrupted()) roof_after(*roofs, *session.pool, instructions);
  }
  output.publish();
  return interrupted() ? partial_result() : kExitOk;
}

}  // namespace sluice
