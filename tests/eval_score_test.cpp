// Log-likelihoods are those of the compressed cache: the prompt's last tokens and the continuation are decoded through
// it, whatever the batch and the sharing; and a policy that compresses nothing is caught.
#include <gmock/gmock.h>

#include "core/base/error.h"
#include "core/report/statistics.h"
#include "support/eval_setup.h"

namespace sluice {
namespace {

using testing::kEvalPolicies;
using EvalScore = testing::EvalSetup;

// The slow way: for every continuation anew, a prompt and then tokens one by one.
std::vector<Likelihood> scored(Engine& engine, const EvalPolicy& policy, const EvalRequest& request, uint32_t window) {
  const auto& continuations = std::get<Score>(request.want).continuations;
  size_t longest = 0;
  for (const auto& c : continuations) longest = std::max(longest, c.size());
  const auto most = uint32_t(request.prompt.size() + longest), n = uint32_t(request.prompt.size());
  std::vector<Likelihood> result;
  for (const auto& continuation : continuations) {
    const auto cache = engine.create_cache(*policy.policy, budget_tokens(*policy.config, *policy.policy, most), most);
    const LogitSink none = [](std::span<const LogitRow>) {};
    if (n > window) engine.feed_prompt(*cache, std::span(request.prompt).first(n - window), Want::kNothing, true, none);
    std::vector<int32_t> tokens(request.prompt.end() - std::min(n, window), request.prompt.end());
    const size_t given = tokens.size();
    tokens.insert(tokens.end(), continuation.begin(), continuation.end());
    Likelihood& l = result.emplace_back();
    for (size_t t = 0; t + 1 < tokens.size(); t++) {
      const Feed feed{cache.get(), {&tokens[t], 1}, Want::kLast};
      engine.step({&feed, 1}, true, [&](std::span<const LogitRow> rows) {
        if (t + 1 < given) return;
        l.log_prob -= negative_log_likelihood(rows[0].logits, uint32_t(tokens[t + 1]));
        l.greedy &= argmax(rows[0].logits) == uint32_t(tokens[t + 1]);
      });
    }
  }
  return result;
}

TEST_F(EvalScore, GoesThroughTheCompressedCacheInAnyBatch) {
  use(kEvalPolicies);
  ask(4, [](EvalRequest& r) {
    if (r.id % 2)
      r.want = Score{{{7}, {250}, {31}, {64}}};
    else
      r.want = Score{{{7, 9, 200}, {8}, {31, 32}}};
  });
  const std::vector<EvalJob> all = jobs;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Likelihood>> expected;
  for (const EvalJob& job : jobs)
    expected[{job.policy, job.request}] = scored(*setup->engine, policies[job.policy], requests[job.request], 16);
  options.score_window = 16;
  for (const uint32_t batch : {1u, 3u, 8u})
    for (const bool share : {false, true}) {
      SCOPED_TRACE(fmt::format("batch {}, {}", batch, share ? "shared" : "alone"));
      options.batch = batch, options.share_prefix = share;
      EvalRun how;
      const Answers answers = run(&how);
      // 80 - 16 that are decoded - 16 that one evictor looks at.
      EXPECT_EQ(how.prefix_tokens, share ? 48u : 0u);
      for (const auto& [key, likelihoods] : expected) {
        const Answer& a = answers.at(key);
        SCOPED_TRACE(fmt::format("{}, request {}", policies[key.first].config->name, key.second));
        ASSERT_EQ(a.likelihoods.size(), likelihoods.size());
        for (size_t i = 0; i < likelihoods.size(); i++) {
          EXPECT_EQ(a.likelihoods[i].log_prob, likelihoods[i].log_prob) << "continuation " << i;
          EXPECT_EQ(a.likelihoods[i].greedy, likelihoods[i].greedy);
        }
        EXPECT_EQ(a.compressed_before_scoring > 0, key.first > 0);
      }
    }
  // Compression is seen: the same continuations are not as likely as in the F16 cache.
  for (uint32_t p = 1; p < policies.size(); p++) {
    const auto &a = expected.at({0, 1})[0], &b = expected.at({p, 1})[0];
    EXPECT_NE(a.log_prob, b.log_prob) << policies[p].config->name;
  }
}

TEST_F(EvalScore, APromptTooShortToCompressSaysSo) {
  use({{},
       {"codec.name=uniform", "codec.block_rows=64"},
       {"evictor.name=h2o", "cache.budget=90%", "cache.interval=1"}});
  ask(1, [](EvalRequest& r) { r.want = Score{{{7}}}; });
  requests[0].prompt.resize(20);  // shorter than the window
  for (const auto& [key, a] : run()) {
    EXPECT_EQ(a.too_short, key.first == 1) << key.first;
    EXPECT_EQ(a.compressed_before_scoring > 0, key.first == 2);
    EXPECT_EQ(a.likelihoods[0].log_prob, scored(*setup->engine, policies[key.first], requests[0], 32)[0].log_prob);
  }
}

// A codec that keeps F16 rows under another name.
TEST_F(EvalScore, APolicyThatSavesNothingIsAnError) {
  use({{"codec.name=identity"}});
  for (const bool generate : {false, true}) {
    ask(1, [&](EvalRequest& r) {
      if (generate)
        r.want = Generate{4, {}};
      else
        r.want = Score{{{7}}};
    });
    try {
      run();
      ADD_FAILURE() << "it ran";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("it compresses nothing"));
      EXPECT_EQ(error.code(), kExitFailed);
    }
    options.allow_uncompressed = true;
    EXPECT_EQ(run().size(), 1u);
    options.allow_uncompressed = false;
  }
}

TEST_F(EvalScore, ARollingTextIsDecodedTokenByToken) {
  use(kEvalPolicies);
  ask(3, [](EvalRequest& r) { r.want = Rolling{uint32_t(1 + r.id % 3 * 10)}; });
  std::map<std::pair<uint32_t, uint32_t>, double> expected;
  for (const EvalJob& job : jobs) {
    const EvalRequest& r = requests[job.request];
    const EvalPolicy& p = policies[job.policy];
    const auto most = uint32_t(r.prompt.size() - 1);
    const auto cache = setup->engine->create_cache(*p.policy, budget_tokens(*p.config, *p.policy, most), most);
    double sum = 0;
    for (size_t t = 0; t + 1 < r.prompt.size(); t++) {
      const Feed feed{cache.get(), std::span(r.prompt).subspan(t, 1), Want::kLast};
      setup->engine->step({&feed, 1}, true, [&](std::span<const LogitRow> rows) {
        if (t + 1 >= std::get<Rolling>(r.want).given)
          sum -= negative_log_likelihood(rows[0].logits, uint32_t(r.prompt[t + 1]));
      });
    }
    expected[{job.policy, job.request}] = sum;
  }
  for (const uint32_t batch : {1u, 5u}) {
    options.batch = batch;
    for (const auto& [key, a] : run()) {
      EXPECT_EQ(a.log_prob, expected.at(key)) << policies[key.first].config->name;
      EXPECT_EQ(a.scored, a.prompt_tokens - std::get<Rolling>(requests[key.second].want).given);
      EXPECT_EQ(a.compressed_before_scoring > 0, key.first > 0);
      EXPECT_EQ(a.prefix_tokens, 0u);
    }
  }
}

}  // namespace
}  // namespace sluice
