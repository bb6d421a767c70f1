// What `sluice bench` is asked to measure: the tests that its options span, and how often.
#pragma once

#include <memory>
#include <vector>

#include "apps/options.h"
#include "apps/session.h"
#include "core/bench/measure.h"
#include "core/report/table.h"

namespace sluice {

// The options of all its modes.
po::options_description bench_options();

struct BenchPlan {
  std::vector<BenchTest> tests;
  std::vector<uint32_t> threads;  // 0: the configuration's
  uint32_t repeats = 0;           // 0: not given
  uint32_t context = 0;           // the tokens of the longest test
  Format format{};
  bool roof = true;

  uint32_t repeats_or(uint32_t fallback) const { return repeats ? repeats : fallback; }
};
// `in_turns`: for things that are timed in alternation, of which -p or -n is meant, not both.
BenchPlan parse_bench_plan(const Words& words, bool in_turns);

// The policy of a configuration. Throws Error for a codec that the backend only simulates: it has no speed of its own.
std::unique_ptr<Policy> timed_policy(const Session& session, const Config& config);

std::string test_name(const BenchTest& test);  // "pp512", "tg128"

// The configuration's overrides and what -t adds to them.
std::vector<std::string> with_threads(const Words& words, uint32_t threads);

// What feeds all tests: any ids do for speed; these are spread over the vocabulary.
std::vector<int32_t> bench_tokens(uint32_t vocab);

}  // namespace sluice
