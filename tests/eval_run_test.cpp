// No bit of a generation depends on the batch, the order, the policies beside it or a shared prefix; what ends a row;
// what a run that is cut short leaves behind.
#include <gmock/gmock.h>

#include <atomic>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/run/generate.h"
#include "support/eval_setup.h"

namespace sluice {
namespace {

using testing::kEvalPolicies;
using EvalGeneration = testing::EvalSetup;

// Answers as `generate` gives them, one at a time and without sharing.
std::vector<int32_t> alone(Engine& engine, const EvalPolicy& policy, const EvalRequest& request) {
  const auto& want = std::get<Generate>(request.want);
  const auto most = uint32_t(request.prompt.size() + want.max_tokens);
  const auto cache = engine.create_cache(*policy.policy, budget_tokens(*policy.config, *policy.policy, most), most);
  Sampler sampler({});
  GenerateOptions options;
  options.tokens = want.max_tokens, options.exact = true, options.stops = want.stops;
  return generate(engine, *cache, request.prompt, sampler, options).tokens;
}

TEST_F(EvalGeneration, NeitherBatchNorOrderNorForkChangesABit) {
  use(kEvalPolicies);
  ask(5, [](EvalRequest& r) { r.want = Generate{uint32_t(6 + r.id % 3 * 9), {}}; });
  std::map<std::pair<uint32_t, uint32_t>, std::vector<int32_t>> expected;
  for (const EvalJob& job : jobs)
    expected[{job.policy, job.request}] = alone(*setup->engine, policies[job.policy], requests[job.request]);
  const std::vector<EvalJob> in_order = jobs;
  for (const uint32_t batch : {1u, 3u, 8u})
    for (const bool share : {false, true})
      for (const bool by_request : {false, true}) {
        SCOPED_TRACE(fmt::format("batch {}, {}, {}", batch, share ? "shared" : "alone",
                                 by_request ? "request by request" : "policy by policy"));
        jobs = in_order;
        if (by_request)
          std::stable_sort(jobs.rbegin(), jobs.rend(),
                           [](const EvalJob& a, const EvalJob& b) { return a.request < b.request; });
        options.batch = batch, options.share_prefix = share;
        EvalRun how;
        const Answers answers = run(&how);
        EXPECT_EQ(how.answered, jobs.size());
        // test-window looks at the last 16 tokens of a prompt, and 20 follow the shared part of the shortest.
        EXPECT_EQ(how.prefix_tokens, share ? kShared : 0);
        for (const auto& [key, tokens] : expected) {
          const Answer& a = answers.at(key);
          ASSERT_EQ(a.tokens, tokens) << policies[key.first].config->name << ", request " << key.second;
          EXPECT_EQ(a.prefix_tokens, share && policies[key.first].policy->chunk == 0 ? kShared : 0);
        }
      }
}

TEST_F(EvalGeneration, EverySampleIsCompressedAndCounted) {
  use(kEvalPolicies);
  ask(4, [](EvalRequest& r) { r.want = Generate{20, {}}; });
  options.batch = 3;
  std::map<uint32_t, std::map<uint32_t, double>> kept;
  for (const bool share : {false, true}) {
    options.share_prefix = share;
    for (const auto& [key, a] : run()) {
      SCOPED_TRACE(fmt::format("{}, request {}", policies[key.first].config->name, key.second));
      uint64_t sum = 0;
      for (const uint64_t bytes : a.bytes.by_kind) sum += bytes;
      EXPECT_EQ(sum, a.bytes.stored);
      EXPECT_EQ(a.compressed_before_scoring > 0, key.first > 0);
      EXPECT_FALSE(a.too_short);
      const uint64_t seen = a.prompt_tokens + a.tokens.size() - (a.ended_by == "end token" ? 0 : 1);
      EXPECT_EQ(a.bytes.f16, uint64_t(2 * 2 * 2 * 2 * 32) * seen);
      EXPECT_GE(a.bytes.peak, a.bytes.stored - a.bytes.by_kind[uint32_t(Kind::kSnapshot)]);
      for (uint32_t k = 0; k < kKinds; k++) EXPECT_GE(a.bytes.peak_by_kind[k], a.bytes.by_kind[k]);
      // A prefix of less than a segment is copied where it grows.
      EXPECT_EQ(a.bytes.by_kind[uint32_t(Kind::kSnapshot)], 0u);
      if (key.first == 0) {
        EXPECT_EQ(a.bytes.kept, seen);
        EXPECT_EQ(a.bytes.kept_after_prompt, a.prompt_tokens);
        EXPECT_GE(a.bytes.stored, a.bytes.f16);
      }
      if (share) {
        EXPECT_EQ(a.bytes.kept, kept[key.first][key.second]);
      } else {
        kept[key.first][key.second] = a.bytes.kept;
      }
    }
  }
}

// Two whole segments of a longer prefix stay the snapshot's, and each sample says so.
TEST_F(EvalGeneration, SharedRowsAreASamplesOwnInItsLedger) {
  use({{}});
  setup = nullptr, policies.clear(), configs.clear();
  setup = std::make_unique<testing::RunSetup>(model, 512, 1);
  configs.push_back(setup->config({}));
  policies.push_back({&configs.back(), &setup->policy({})});
  for (uint32_t r = 0; r < 2; r++) {
    EvalRequest& request = requests.emplace_back();
    for (uint32_t i = 0; i < 310; i++) request.prompt.push_back(int32_t(3 + (i < 300 ? i * 37 : i * 41 + r) % 317));
    request.want = Generate{4, {}};
  }
  pair_all();
  for (const auto& [key, a] : run()) {
    EXPECT_EQ(a.prefix_tokens, 300u);
    EXPECT_EQ(a.bytes.by_kind[uint32_t(Kind::kSnapshot)], uint64_t(256) * 2 * 2 * 2 * 32 * 2);
    EXPECT_GE(a.bytes.stored, a.bytes.f16);
  }
}

TEST_F(EvalGeneration, ARowEndsAtItsStopStringEndTokenOrLimit) {
  use({{}, {"evictor.name=recent", "cache.budget=40", "cache.interval=1"}});
  ask(3, [](EvalRequest& r) { r.want = Generate{24, {}}; });
  const Answers free = run();
  for (const auto& [key, a] : free) {
    EXPECT_THAT(a.ended_by, ::testing::AnyOf("limit", "end token"));
    EXPECT_EQ(a.ended_by == "limit", a.tokens.size() == 24);
    EXPECT_EQ(a.text, replace_invalid_utf8(setup->engine->tokenizer().decode(a.tokens)));
  }
  // Any two letters that a text holds are a stop string: it ends before their first occurrence.
  std::string stop;
  for (const auto& [key, a] : free)
    for (size_t at = 3; at + 2 < a.text.size() && stop.empty(); at++)
      if (uint8_t(a.text[at]) < 0x80 && uint8_t(a.text[at + 1]) < 0x80) stop = a.text.substr(at, 2);
  ASSERT_FALSE(stop.empty());
  for (EvalRequest& r : requests) r.want = Generate{24, {"no such text", stop, ""}};
  for (const auto& [key, a] : run()) {
    const Answer& whole = free.at(key);
    const size_t at = whole.text.find(stop);
    EXPECT_EQ(a.text, whole.text.substr(0, at));
    EXPECT_EQ(a.ended_by, at == std::string::npos ? whole.ended_by : "stop string");
    EXPECT_LE(a.tokens.size(), whole.tokens.size());
    EXPECT_TRUE(std::equal(a.tokens.begin(), a.tokens.end(), whole.tokens.begin()));
  }
}

TEST_F(EvalGeneration, SampledTokensAreTheRequestsOwn) {
  use({{}});
  ask(6, [](EvalRequest& r) { r.want = Generate{12, {}}; });
  options.sampler.temperature = 1, options.sampler.seed = 7;
  const Answers first = run();
  options.batch = 4;
  std::reverse(jobs.begin(), jobs.end());
  for (const auto& [key, a] : run()) EXPECT_EQ(a.tokens, first.at(key).tokens);
  options.sampler.seed = 8;
  EXPECT_NE(run().at({0, 0}).tokens, first.at({0, 0}).tokens);
}

TEST_F(EvalGeneration, WhatIsFinishedIsKeptWhenARunIsCutShort) {
  use({{}, {"evictor.name=h2o", "cache.budget=40", "cache.interval=4"}});
  ask(4, [](EvalRequest& r) { r.want = Generate{10, {}}; });
  options.batch = 3;
  const Answers whole = run();
  std::atomic<bool> stop{false};
  options.stop = &stop;
  Answers some;
  options.answer = [&](const Answer& a) { some[{a.policy, a.request}] = a, stop = some.size() >= 3; };
  const EvalRun cut = run_evaluation(*setup->engine, policies, requests, jobs, options);
  EXPECT_TRUE(cut.interrupted);
  EXPECT_EQ(cut.answered, some.size());
  EXPECT_LT(some.size(), whole.size());
  for (const auto& [key, a] : some) EXPECT_EQ(a.tokens, whole.at(key).tokens);
  // What is left is answered as it would have been.
  stop = false;
  std::erase_if(jobs, [&](const EvalJob& job) { return some.count({job.policy, job.request}); });
  const Answers rest = run();
  EXPECT_EQ(rest.size() + some.size(), whole.size());
  for (const auto& [key, a] : rest) EXPECT_EQ(a.tokens, whole.at(key).tokens);
}

TEST_F(EvalGeneration, APluginThatFailsEndsTheRunAndNotTheEngine) {
  use({{}, {"evictor.name=test-rows", "cache.budget=40", "cache.interval=4"}});
  ask(4, [](EvalRequest& r) { r.want = Generate{10, {}}; });
  const Answers whole = run();
  const uint64_t live = setup->engine->arena().live();
  testing::hooks.lie = "twice";
  Answers some;
  options.answer = [&](const Answer& a) { some[{a.policy, a.request}] = a; };
  EXPECT_THROW(run_evaluation(*setup->engine, policies, requests, jobs, options), Error);
  EXPECT_EQ(some.size(), 4u) << "those of the policy before it";
  EXPECT_EQ(setup->engine->arena().live(), live) << "nothing is left of rows and snapshots";
  testing::hooks.lie.clear();
  EXPECT_EQ(run().size(), whole.size());
}

TEST_F(EvalGeneration, WhatCannotRunIsRefusedBeforeAnythingRuns) {
  use({{}, {"evictor.name=h2o", "cache.budget=10%", "cache.interval=16"}});
  ask(2, [](EvalRequest& r) { r.want = Generate{10, {}}; });
  const auto says = [&](const char* what) {
    bool ran = false;
    options.answer = [&](const Answer&) { ran = true; };
    try {
      run_evaluation(*setup->engine, policies, requests, jobs, options);
      ADD_FAILURE() << "ran: " << what;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(what));
      EXPECT_EQ(error.code(), kExitUsage);
    }
    EXPECT_FALSE(ran);
  };
  says("smaller than the interval");  // 10 % of some 90 tokens
  jobs = {{0, 0}, {0, 1}};
  requests[1].want = Generate{200, {}};
  says("request 101: 287 tokens, 87 of the prompt and the others to come, do not fit the context of 256");
  requests[1].want = Generate{0, {}};
  says("request 101: 0 tokens are to be generated");
  requests[1].want = Score{{{5}, {}}};
  says("a continuation to score has no token");
  requests[1].want = Rolling{87};
  says("of 87 tokens the first 87 are given");
  requests[1].prompt.clear();
  says("the prompt has no token");
}

}  // namespace
}  // namespace sluice
