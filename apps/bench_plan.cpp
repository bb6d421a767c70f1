// See bench_plan.h.
#include "apps/bench_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/text.h"

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

}  // namespace

po::options_description bench_options() {
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  po::options_description options = config_options();
  options.add(output_options());
  options.add_options()("p,p", text("N"), "prompt tokens, a list or range; 0: no prompt test (default 512)")(
      "n,n", text("N"), "tokens to decode; 0: no decode test (default 128)")(
      "d,d", text("N"), "depth: tokens in the cache before the test (default 0)")(
      "depth-by", text("HOW"),
      "prefill: truly; tiling: the rows of 64 tokens again and again, for speed alone "
      "(default prefill)")(
      "r,r", text("N"),
      "repetitions (default 5); with --pair and --versus pairs that count (default 9); with --kernel "
      "calls, exactly so many (default: as many as 0.7 s hold)")(
      "t,t", text("N"), "threads, short for --set backend.threads=N; 0: the configuration's (default)")(
      "batch", text("N"), "sequences decoded together (default 1)")(
      "pair", po::value<std::vector<std::string>>()->composing()->value_name("CONFIG"),
      "given twice: times the two in turns, and says which is faster")(
      "versus", text("CMD"), "times a driver of another runtime in turns with the configuration (docs/bench.md)")(
      "versus-limit", text("S"), "seconds within which the driver must answer (default 600)")(
      "kernel", text("NAME"), "times a kernel alone; list: which there are; all: each of them")(
      "kernel-data", text("WHERE"), "memory: more than fits into caches; cache: less (default memory)")(
      "no-roof", "do not measure what this machine can do at most, and show no shares of it");
  options.add(precision_options("backend.precision, else fast"));
  return options;
}

BenchPlan parse_bench_plan(const Words& words, bool in_turns) {
  BenchPlan plan;
  plan.format = parse_format(output_format(words));
  plan.roof = !words.has("no-roof");
  const char* const prompt_default = in_turns ? "0" : "512";
  const char* const generate_default = in_turns && words.has("p") ? "0" : "128";
  const auto prompts = number_list(words, "p", prompt_default, 1 << 17),
             generates = number_list(words, "n", generate_default, 1 << 17);
  const auto depths = number_list(words, "d", "0", 1 << 17), batches = number_list(words, "batch", "1", 1024);
  plan.threads = number_list(words, "t", "0", 1024);
  plan.repeats = uint32_t(words.integer("r", 0, 1, 1 << 20));
  const bool tiled = words.choice("depth-by", "prefill", "prefill|tiling") == "tiling";
  for (uint32_t d : depths) {
    for (uint32_t p : prompts)
      if (p) plan.tests.push_back({p, 0, d, 1, tiled});
    for (uint32_t n : generates)
      for (uint32_t b : batches)
        if (n && b) plan.tests.push_back({0, n, d, b, tiled});
  }
  if (plan.tests.empty()) throw Error("bench: nothing to measure: -p and -n are both 0");
  for (const BenchTest& t : plan.tests) plan.context = std::max(plan.context, t.depth + t.prompt + t.generate);
  return plan;
}

std::unique_ptr<Policy> timed_policy(const Session& session, const Config& config) {
  const Engine& engine = *session.engine;
  auto policy = build_policy(*session.registry, config, engine.geometry(), engine.simulates_codecs());
  if (policy->simulated())
    throw Error(fmt::format(
        "bench: on backend {} the codec of {} is simulated, which has no speed of its own; use backend \"cpu\"",
        config.backend.name, config.name));
  return policy;
}

std::string test_name(const BenchTest& test) {
  return test.prompt ? fmt::format("pp{}", test.prompt) : fmt::format("tg{}", test.generate);
}

std::vector<std::string> with_threads(const Words& words, uint32_t threads) {
  std::vector<std::string> overrides = words.overrides();
  if (threads) overrides.push_back(fmt::format("backend.threads={}", threads));
  return overrides;
}

std::vector<int32_t> bench_tokens(uint32_t vocab) {
  std::vector<int32_t> tokens(509);
  for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t((i * 7919 + 13) % vocab);
  return tokens;
}

}  // namespace sluice
