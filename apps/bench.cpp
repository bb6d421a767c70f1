// `sluice bench`: prompt and decode speed of any policy, in the shape of llama-bench's tests and tables, with bytes
// stored and the share of the memory bandwidth that this machine shows in the same run.
#include "core/run/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/report/format.h"
#include "core/report/json.h"
#include "core/report/table.h"
#include "core/run/kv_report.h"

namespace sluice {
namespace {

// "512", "0,1024,4096", "1-4", "0-4096+1024".
std::vector<uint32_t> number_list(const Words& words, const char* option, const char* fallback, uint32_t high) {
  const std::string text = words.has(option) ? words.text(option) : fallback;
  const auto fail = [&] {
    throw Error(fmt::format("bench: {} \"{}\": write numbers up to {}, as in 512 or 0,1024 or 1-4 or 0-4096+1024",
                            typed(option), text, high));
  };
  std::vector<uint32_t> list;
  for (const std::string_view item : split(text, ',')) {
    uint32_t number[3] = {0, 0, 1}, count = 0;  // first, last, step
    const char *p = item.data(), *last = p + item.size();
    for (const char separator : {'-', '+', '\0'}) {
      const auto [next, error] = std::from_chars(p, last, number[count]);
      if (error != std::errc() || number[count] > high) fail();
      p = next, count++;
      if (p == last) break;
      if (*p != separator) fail();
      p++;
    }
    if (p != last || number[2] == 0) fail();
    if (count == 1) number[1] = number[0];
    if (number[1] < number[0]) fail();  // a range of no numbers would drop the test without a word
    for (uint32_t n = number[0]; n <= number[1]; n += number[2]) list.push_back(n);
  }
  return list;
}

Table bench_table() {
  Table t;
  t.name = "bench";
  t.columns = {{"policy", "policy", false},
               {"test", "test", false},
               {"n_prompt", ""},
               {"n_gen", ""},
               {"depth", "depth"},
               {"threads", "threads"},
               {"batch", "batch"},
               {"tok_s", "tok/s"},
               {"tok_s_sd", ""},
               {"gb_s", "GB/s"},
               {"bandwidth_share", "of bandwidth"},
               {"kv_bytes", "KV stored"},
               {"kv_ratio", "of F16"},
               {"rss_peak", "peak RSS"},
               {"calls", "calls"},
               {"call_share", "of step"},
               {"kernel", "kernel", false},
               {"precision", "precision", false},
               {"positions", "", false},
               {"model", "", false},
               {"weight_type", "", false}};
  return t;
}

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

}  // namespace

int run_bench(std::span<const std::string> args) {
  po::options_description options = config_options();
  options.add(output_options());
  options.add_options()("p,p", po::value<std::string>()->value_name("N"),
                        "prompt tokens, a list or range; 0: no prompt test (default 512)")(
      "n,n", po::value<std::string>()->value_name("N"), "tokens to decode; 0: no decode test (default 128)")(
      "d,d", po::value<std::string>()->value_name("N"), "depth: tokens in the cache before the test (default 0)")(
      "r,r", po::value<std::string>()->value_name("N"), "repetitions (default 5)")(
      "t,t", po::value<std::string>()->value_name("N"),
      "threads, short for --set backend.threads=N; 0: the configuration's (default)")(
      "batch", po::value<std::string>()->value_name("N"), "sequences decoded together (default 1)");
  options.add(precision_options("backend.precision, else fast"));
  const auto words = parse_words("bench", args, options, {{"CONFIG"}, 0, true});
  if (!words) return kExitOk;
  const Format format = parse_format(output_format(*words));
  const auto prompts = number_list(*words, "p", "512", 1 << 17), generates = number_list(*words, "n", "128", 1 << 17);
  const auto depths = number_list(*words, "d", "0", 1 << 17), batches = number_list(*words, "batch", "1", 1024);
  const auto threads = number_list(*words, "t", "0", 1024);
  const uint32_t repeats = uint32_t(words->integer("r", 5, 1, 1000));
  std::vector<BenchTest> tests;
  for (uint32_t d : depths) {
    for (uint32_t p : prompts)
      if (p) tests.push_back({p, 0, d, 1});
    for (uint32_t n : generates)
      for (uint32_t b : batches)
        if (n && b) tests.push_back({0, n, d, b});
  }
  if (tests.empty()) throw Error("bench: nothing to measure: -p and -n are both 0");
  uint32_t context = 0;
  for (const BenchTest& t : tests) context = std::max(context, t.depth + t.prompt + t.generate);

  Table table = bench_table();
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  const auto publish = [&] {
    write_stdout(format == Format::kJson ? nlohmann::ordered_json{{"rows", rows}}.dump(2) + "\n"
                                         : write_table(table, format));
  };
  for (uint32_t t : threads) {
    if (interrupted()) break;
    std::vector<std::string> overrides = words->overrides();
    if (t) overrides.push_back(fmt::format("backend.threads={}", t));
    Session session = open_session(words->positional, overrides, context);
    Engine& engine = *session.engine;
    const bool exact = wants_exact(*words, session.configs.front());
    const std::string precision = exact ? "exact" : "fast", weights = weight_types(engine.file());
    const double before = read_bandwidth(*session.pool), call = call_seconds(engine.backend());
    // Any ids do for speed; these are spread over the vocabulary.
    std::vector<int32_t> tokens(509);
    for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t((i * 7919 + 13) % engine.hyper().vocab);
    Progress progress(session.configs.size() * tests.size(), "bench");
    const HangGuard::Block kept(*session.hang_guard);
    session.hang_guard->keep([&] {
      progress.clear();
      publish();
    });
    for (const Config& config : session.configs) {
      const auto policy = build_policy(*session.registry, config, engine.geometry());
      for (const BenchTest& test : tests) {
        // Or each row would show what the bandwidth probe and the rows before it used.
        const bool alone = reset_peak_rss();
        const auto row = measured(engine, config, *policy, test, repeats, exact, tokens);
        if (!row) break;
        const uint64_t peak = alone ? peak_rss_bytes() : 0;
        const std::string name = test.prompt ? fmt::format("pp{}", test.prompt) : fmt::format("tg{}", test.generate);
        const std::string speed =
            repeats > 1 ? fmt::format("{:.2f} ± {:.2f}", row->tok_s, row->tok_s_sd) : fmt::format("{:.2f}", row->tok_s);
        const double share = row->gb_s * 1e9 / before;
        const bool decode = test.generate > 0;
        // As if all were made one after another.
        const double call_share = row->calls * call * row->tok_s / test.batch;
        table.rows.push_back({config.name,
                              name,
                              uint64_t(test.prompt),
                              uint64_t(test.generate),
                              uint64_t(test.depth),
                              uint64_t(session.threads()),
                              uint64_t(test.batch),
                              {row->tok_s, speed},
                              {row->tok_s_sd},
                              decode ? Cell(row->gb_s, fmt::format("{:.1f}", row->gb_s)) : Cell(),
                              decode ? Cell(share, fmt::format("{:.0f} %", 100 * share)) : Cell(),
                              {row->kv.bytes, human_bytes(row->kv.bytes)},
                              {row->kv.ratio, fmt::format("{:.1f} %", 100 * row->kv.ratio)},
                              peak ? Cell(peak, human_bytes(peak)) : Cell(),
                              decode ? Cell(row->calls, fmt::format("{:.0f}", row->calls)) : Cell(),
                              decode ? Cell(call_share, fmt::format("{:.2f} %", 100 * call_share)) : Cell(),
                              std::string(engine.device().kernels),
                              precision,
                              std::string(policy->positions()),
                              engine.hyper().name,
                              weights});
        rows.push_back({{"policy", clean_utf8(config.name)},
                        {"test", name},
                        {"n_prompt", test.prompt},
                        {"n_gen", test.generate},
                        {"depth", test.depth},
                        {"threads", session.threads()},
                        {"batch", test.batch},
                        {"tok_s", row->tok_s},
                        {"tok_s_sd", number_or_null(row->tok_s_sd)},
                        {"gb_s", number_or_null(row->gb_s)},
                        {"bandwidth_share", number_or_null(share)},
                        {"rss_peak", peak ? nlohmann::ordered_json(peak) : nlohmann::ordered_json(nullptr)},
                        {"calls_per_step", number_or_null(row->calls)},
                        {"call_share", number_or_null(call_share)},
                        {"kernel", engine.device().kernels},
                        {"precision", precision},
                        {"positions", policy->positions()},
                        {"model", engine.hyper().name},
                        {"weight_type", weights},
                        {"kv", to_json(row->kv)}});
        progress.advance(1, fmt::format("{} {} {:.1f} tok/s", config.name, name, row->tok_s));
      }
    }
    progress.clear();
    if (interrupted()) break;
    const double after = read_bandwidth(*session.pool);
    fmt::print(stderr, "sluice: {} threads read {:.1f} GB/s before and {:.1f} GB/s after the tests{}\n",
               session.threads(), before / 1e9, after / 1e9,
               std::abs(after / before - 1) > 0.1
                   ? ": the machine changed by more than a tenth, so these figures are not to be trusted"
                   : "");
  }
  publish();
  return interrupted() ? partial_result() : kExitOk;
}

}  // namespace sluice
