// `sluice bench`: prompt and decode speed of any policy, in the shape of llama-bench's tests and tables, with bytes
// stored and the share of what this machine shows it can do in the same run. Its other modes are in the files beside
// this one.
#include <fmt/format.h>

#include <optional>

#include "apps/bench_modes.h"
#include "apps/bench_table.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/bench/foreign_cpu.h"
#include "core/run/kv_report.h"

namespace sluice {
namespace {

// None if it was interrupted: a test counts whole or not at all.
std::optional<BenchRow> measured(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test,
                                 uint32_t repeats, bool exact, std::span<const int32_t> tokens) {
  if (interrupted()) return std::nullopt;
  try {
    return measure(engine, config, policy, test, repeats, exact, tokens, &interrupt_flag());
  } catch (const Error&) {
    if (!interrupted()) throw;
    return std::nullopt;
  }
}

int bench_rows(const Words& words) {
  const BenchPlan plan = parse_bench_plan(words, false);
  BenchOutput output("bench", plan.format, bench_fields({}));
  for (uint32_t t : plan.threads) {
    if (interrupted()) break;
    Session session = open_session(words.positional, with_threads(words, t), plan.context);
    Engine& engine = *session.engine;
    const bool exact = wants_exact(words, session.configs.front());
    const std::string kernel = engine.device().kernels;
    const auto roofs = roof_before(*session.pool, kernel, plan.roof);
    const double call = call_seconds(engine.backend());
    const auto tokens = bench_tokens(engine.hyper().vocab);
    Progress progress(session.configs.size() * plan.tests.size(), "bench");
    const HangGuard::Block kept(*session.hang_guard);
    session.hang_guard->keep([&] {
      progress.clear();
      output.publish();
    });
    for (const Config& config : session.configs) {
      const auto policy = timed_policy(session, config);
      for (const BenchTest& test : plan.tests) {
        // Or each row would show what the roof's buffer and the rows before it used.
        const bool alone = reset_peak_rss();
        const ForeignCpu foreign;
        const auto row = measured(engine, config, *policy, test, plan.repeats_or(5), exact, tokens);
        if (!row) break;
        const BenchLine line{config.name,
                             *row,
                             token_cost(engine, test, row->kv, exact),
                             session.threads(),
                             call,
                             alone ? peak_rss_bytes() : 0,
                             foreign.share(),
                             kernel,
                             exact ? "exact" : "fast",
                             policy->positions(),
                             engine.hyper().name,
                             weight_types(engine.file()),
                             roofs};
        output.add([line] { return bench_fields(line); }, row->kv);
        progress.advance(1, fmt::format("{} {} {:.1f} tok/s", config.name, test_name(test), row->tok_s));
      }
    }
    progress.clear();
    if (!interrupted()) roof_after(*roofs, *session.pool, kernel);
  }
  output.publish();
  return interrupted() ? partial_result() : kExitOk;
}

}  // namespace

int run_bench(std::span<const std::string> args) {
  const auto words = parse_words("bench", args, bench_options(), {{"CONFIG"}, 0, true});
  if (!words) return kExitOk;
  const int modes = int(words->has("pair")) + int(words->has("versus")) + int(words->has("kernel"));
  if (modes > 1) throw Error("bench: --pair, --versus and --kernel exclude each other");
  if (words->has("kernel")) return bench_kernel(*words);
  return modes ? bench_pair(*words) : bench_rows(*words);
}

}  // namespace sluice
