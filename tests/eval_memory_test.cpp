// What a run is said to take at most, it keeps; and for caches whose size is known it says not much more than they
// take.
#include <gtest/gtest.h>

#include "support/eval_setup.h"

namespace sluice {
namespace {

using testing::kEvalPolicies;
using EvalMemory = testing::EvalSetup;

TEST_F(EvalMemory, NoPolicyTakesMoreThanWasSaid) {
  for (const auto& policy : kEvalPolicies)
    for (const auto& [batch, share] : {std::pair(1u, false), std::pair(3u, true), std::pair(8u, true)})
      for (const bool score : {false, true}) {
        use({policy}, batch == 3 ? 2 : 1);  // a fresh arena
        ask(9, [&](EvalRequest& r) {
          if (score)
            r.want = Score{{{7, 9, 200}, {8}, {31, 32}}};
          else
            r.want = Generate{30, {}};
        });
        options.batch = batch, options.share_prefix = share, options.score_window = 16;
        EvalRun how;
        run(&how);
        std::string text = score ? "score:" : "generate:";
        for (const std::string& s : policy) text += " " + s;
        EXPECT_LE(how.arena_peak, how.plan.in_arena()) << text << ", batch " << batch;
        EXPECT_EQ(how.plan.activations, setup->engine->activation_bytes()) << text;
        EXPECT_EQ(how.plan.weights, setup->engine->weight_bytes());
        // Every row dense: only growth, tables and the longest request are guessed.
        if (policy.empty() && batch == 8 && !score) {
          EXPECT_LT(how.plan.in_arena(), 2 * how.arena_peak);
        }
      }
}

TEST_F(EvalMemory, ASnapshotGoesWithTheLastThatNeedsIt) {
  use({{}, {"evictor.name=h2o", "cache.budget=40", "cache.interval=4"}});
  ask(6, [](EvalRequest& r) { r.want = Generate{4, {}}; });
  EvalRun one_by_one, both;
  run(&one_by_one);
  std::stable_sort(jobs.begin(), jobs.end(), [](const EvalJob& a, const EvalJob& b) { return a.request < b.request; });
  run(&both);
  EXPECT_GT(both.plan.snapshots, one_by_one.plan.snapshots) << "two at a time instead of one";
  EXPECT_GT(both.arena_peak, one_by_one.arena_peak);
}

}  // namespace
}  // namespace sluice
