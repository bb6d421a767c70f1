// Forced answers: the scores are those of each policy's cache alone, agree with what an evaluation itself says of the
// same texts, and do not depend on sharing.
#include <gmock/gmock.h>

#include "core/eval/fidelity.h"
#include "core/eval/row.h"
#include "support/eval_setup.h"

namespace sluice {
namespace {

using testing::kEvalPolicies;

struct EvalFidelity : testing::EvalSetup {
  using Scores = std::map<std::pair<uint32_t, uint32_t>, std::vector<PositionScore>>;  // by policy and request

  // Every request's answer through all policies but the first.
  Scores force(const std::vector<std::vector<int32_t>>& texts, bool* complete = nullptr) {
    std::vector<ForcedAnswer> answers;
    for (uint32_t r = 0; r < requests.size(); r++) {
      answers.push_back({r, texts[r], {}});
      for (uint32_t p = 1; p < policies.size(); p++) answers.back().policies.push_back(p);
    }
    EvalOptions planned = options;
    planned.batch = uint32_t(policies.size());
    const auto plan = plan_evaluation(*setup->engine, policies, requests, forced_jobs(answers, 0), planned);
    setup->engine->arena().reset_peak();
    Scores scores;
    const bool done = force_answers(
        *setup->engine, policies, 0, requests, answers, options,
        [&](uint32_t policy, const ForcedAnswer& answer, std::span<const PositionScore> each) {
          EXPECT_TRUE(scores.emplace(std::pair(policy, answer.request), std::vector(each.begin(), each.end())).second);
        });
    EXPECT_LE(setup->engine->arena().peak(), plan.in_arena());
    if (complete) *complete = done;
    return scores;
  }
};

double sum_of_nll(std::span<const PositionScore> scores) {
  double sum = 0;
  for (const PositionScore& s : scores) sum += s.nll;
  return sum;
}

TEST_F(EvalFidelity, ScoresAreThoseOfEachCacheAlone) {
  use(kEvalPolicies);
  ask(3, [](EvalRequest& r) { r.want = Generate{14, {}}; });
  const Answers free = run();
  std::vector<std::vector<int32_t>> texts;
  for (uint32_t r = 0; r < requests.size(); r++) texts.push_back(free.at({0, r}).tokens);
  const Scores scores = force(texts);
  options.share_prefix = false;
  const Scores unshared = force(texts);
  ASSERT_EQ(scores.size(), (policies.size() - 1) * requests.size());
  // Logits of a policy by itself: its prompt, then the answer token by token.
  const auto logits_of = [&](uint32_t p, uint32_t r) {
    std::vector<std::vector<float>> all;
    const LogitSink sink = [&](std::span<const LogitRow> rows) {
      all.emplace_back(rows.back().logits.begin(), rows.back().logits.end());
    };
    const auto most = uint32_t(most_tokens(requests[r]));
    auto cache = setup->engine->create_cache(*policies[p].policy,
                                             budget_tokens(*policies[p].config, *policies[p].policy, most), most);
    setup->engine->feed_prompt(*cache, requests[r].prompt, Want::kLast, true, sink);
    for (size_t i = 0; i + 1 < texts[r].size(); i++) {
      const Feed feed{cache.get(), {&texts[r][i], 1}, Want::kLast};
      setup->engine->step({&feed, 1}, true, sink);
    }
    return all;
  };
  for (uint32_t r = 0; r < requests.size(); r++) {
    const auto truth = logits_of(0, r);
    for (uint32_t p = 1; p < policies.size(); p++) {
      SCOPED_TRACE(fmt::format("policy {}, request {}", p, r));
      const auto own = logits_of(p, r);
      const auto& found = scores.at({p, r});
      ASSERT_EQ(found.size(), texts[r].size());
      for (size_t t = 0; t < found.size(); t++) {
        LogProbs reference;
        reference.set(truth[t]);
        const PositionScore expected = score_position(reference, own[t], uint32_t(texts[r][t]));
        ASSERT_EQ(found[t].kld, expected.kld) << t;
        ASSERT_EQ(found[t].nll, expected.nll) << t;
        ASSERT_EQ(found[t].reference_nll, expected.reference_nll) << t;
        ASSERT_EQ(found[t].same_top, expected.same_top) << t;
        ASSERT_EQ(found[t].kld, unshared.at({p, r})[t].kld) << t;
      }
    }
  }
}

// What a policy says of a continuation when it is asked, it says again when it is led through it.
TEST_F(EvalFidelity, AgreesWithTheLikelihoodsOfAnEvaluation) {
  use(kEvalPolicies);
  ask(3, [](EvalRequest& r) { r.want = Score{{{int32_t(5 + r.id % 7), 9, 30}, {11}}}; });
  options.score_window = 8;
  const Answers asked = run();
  const Scores scores = force({{int32_t(5 + 100 % 7), 9, 30}, {11}, {int32_t(5 + 102 % 7), 9, 30}});
  ASSERT_EQ(scores.size(), (policies.size() - 1) * requests.size());
  for (const auto& [key, each] : scores) {
    SCOPED_TRACE(fmt::format("policy {}, request {}", key.first, key.second));
    const size_t choice = key.second == 1 ? 1 : 0;
    ASSERT_EQ(each.size(), choice == 1 ? 1u : 3u);
    EXPECT_DOUBLE_EQ(-sum_of_nll(each), asked.at(key).likelihoods[choice].log_prob);
  }
}

TEST_F(EvalFidelity, AgreesWithARollingText) {
  use(kEvalPolicies);
  ask(2, [](EvalRequest& r) { r.want = Rolling{uint32_t(1 + r.id % 3)}; });
  const Answers asked = run();
  const Scores scores = force({{}, {}});
  ASSERT_EQ(scores.size(), (policies.size() - 1) * requests.size());
  for (const auto& [key, each] : scores) {
    EXPECT_EQ(each.size(), asked.at(key).scored);
    EXPECT_DOUBLE_EQ(-sum_of_nll(each), asked.at(key).log_prob);
  }
}

TEST_F(EvalFidelity, AnEmptyAnswerHasNoScoreAndAStopEndsIt) {
  use({{}, {"evictor.name=recent", "cache.budget=40"}, {}});
  ask(2, [](EvalRequest& r) { r.want = Generate{6, {}}; });
  const Scores scores = force({{}, {7, 8, 9}});
  EXPECT_TRUE(scores.at({1, 0}).empty());
  // The same policy as the baseline's strays by nothing.
  ASSERT_EQ(scores.at({2, 1}).size(), 3u);
  for (const PositionScore& s : scores.at({2, 1})) EXPECT_TRUE(s.kld == 0 && s.same_top && s.nll == s.reference_nll);
  std::atomic<bool> stop = true;
  options.stop = &stop;
  bool complete = true;
  EXPECT_TRUE(force({{3}, {7, 8, 9}}, &complete).empty());
  EXPECT_FALSE(complete);
}

}  // namespace
}  // namespace sluice
