// What stored samples add up to: groups by size and as plain means, what was lost and won, floors, perplexities, and
// where texts part.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/harness/rows.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

ScoredSample sample(uint64_t id, double value, std::vector<int32_t> tokens = {}) {
  ScoredSample s;
  s.doc_id = id, s.key = "prompt";
  s.values = {value}, s.weights = {kUnknown}, s.invalid = {false};
  s.tokens = std::move(tokens);
  s.prompt_tokens = 10, s.f16 = 2000, s.stored = 500, s.kept = 5, s.kept_after_prompt = 10, s.compressed = 7;
  return s;
}

// A subtask of "all" with these scores.
ScoredRun run(const std::string& name, const std::string& group, std::vector<double> values) {
  ScoredRun r;
  r.policy = "p", r.name = name, r.version = "1", r.protocol = "lm-eval";
  r.info.task = "all", r.info.group = group, r.info.alias = name, r.info.generates = true;
  r.info.token_bytes = 100, r.info.chance = 0.25;
  r.info.metrics = {{"acc", "none", "", false}};
  for (const double value : values) r.samples.push_back(sample(r.samples.size(), value));
  return r;
}

TEST(CliScores, TasksGroupsAndSubtasksComeInTheHarnessesOrder) {
  const std::vector<ScoredRun> runs{run("all_a", "all_x", {1, 0}), run("all_b", "all_y", {1}),
                                    run("all_c", "all_x", {0})};
  const std::vector<EvalRow> rows = eval_rows(runs, {});
  std::vector<std::string> names;
  std::vector<uint32_t> depths;
  for (const EvalRow& row : rows) names.push_back(row.name), depths.push_back(row.depth);
  EXPECT_THAT(names, ElementsAre("all", "all_x", "all_a", "all_c", "all_y", "all_b"));
  EXPECT_THAT(depths, ElementsAre(0, 1, 2, 2, 1, 2));
  EXPECT_THAT(rows[0].children, ElementsAre("all_x", "all_y"));
  EXPECT_THAT(rows[1].children, ElementsAre("all_a", "all_c"));
  EXPECT_EQ(rows[1].alias, "x");
  EXPECT_EQ(rows[0].samples, 4u);
  // A subtask asked for by itself is one row.
  ScoredRun alone = run("all_a", "all_x", {1});
  alone.info.task = "all_a";
  EXPECT_EQ(eval_rows({&alone, 1}, {}).size(), 1u);
}

TEST(CliScores, GroupsWeighBySizeOrSubtasksAlike) {
  std::vector<ScoredRun> runs{run("all_a", "", {1, 1, 1, 0}), run("all_b", "", {0, 0})};
  const MetricRow by_size = eval_rows(runs, {})[0].metrics[0];
  EXPECT_DOUBLE_EQ(by_size.value, 0.5);
  // sqrt((3 * (0.25 / 4) * 4 + 0) / (6 - 2) / 6), the variance of {1, 1, 1, 0} being 1/4
  EXPECT_DOUBLE_EQ(by_size.error, std::sqrt(3 * 0.25 / 4 / 6));
  for (ScoredRun& r : runs) r.info.weight_by_size = false;
  const MetricRow alike = eval_rows(runs, {})[0].metrics[0];
  EXPECT_DOUBLE_EQ(alike.value, 0.375);
  EXPECT_DOUBLE_EQ(alike.error, std::sqrt(0.25 / 4) / 2);
}

TEST(CliScores, OnlyTheSameQuestionsAreCompared) {
  ScoredRun here = run("all", "", {1, 0, 1, 1, 0}), baseline = run("all", "", {1, 1, 0, 0});
  here.samples[3].key = "another prompt";
  here.samples[0].tokens = baseline.samples[0].tokens = {1, 2, 3};
  here.samples[1].tokens = {1, 2, 4}, baseline.samples[1].tokens = {1, 2, 3};
  here.samples[2].tokens = {1, 2, 3}, baseline.samples[2].tokens = {1, 2, 3, 5};
  const EvalRow row = eval_rows({&here, 1}, {&baseline, 1})[0];
  EXPECT_EQ(row.paired, 3u);
  EXPECT_EQ(row.only_here, 2u);
  EXPECT_EQ(row.only_baseline, 1u);
  const MetricRow& m = row.metrics[0];
  EXPECT_DOUBLE_EQ(m.value, 0.6);
  EXPECT_DOUBLE_EQ(m.baseline, 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.difference.difference, 0);
  ASSERT_TRUE(m.difference.flips);
  EXPECT_EQ(m.difference.flips->lost, 1u);
  EXPECT_EQ(m.difference.flips->won, 1u);
  EXPECT_EQ(m.difference.p, 1);
  EXPECT_EQ(row.diverged, 2u);
  EXPECT_DOUBLE_EQ(row.divergence_mean, 2.5);
  EXPECT_DOUBLE_EQ(row.divergence_median, 2.5);
  // Without a baseline nothing is known.
  const EvalRow alone = eval_rows({&here, 1}, {})[0];
  EXPECT_TRUE(std::isnan(alone.metrics[0].difference.difference));
  EXPECT_FALSE(alone.metrics[0].difference.flips);
}

TEST(CliScores, AnIntervalOfSubtasksThatWeighAlikeIsAroundTheirDifference) {
  std::vector<ScoredRun> here{run("all_a", "", std::vector<double>(90, 1.0)), run("all_b", "", {0, 0, 0, 0})};
  std::vector<ScoredRun> baseline{run("all_a", "", std::vector<double>(90, 1.0)), run("all_b", "", {1, 1, 1, 1})};
  for (auto* runs : {&here, &baseline})
    for (ScoredRun& r : *runs) r.info.weight_by_size = false;
  const MetricDifference d = eval_rows(here, baseline)[0].metrics[0].difference;
  EXPECT_DOUBLE_EQ(d.difference, -0.5);
  EXPECT_LT(d.interval.low, -0.5);
  EXPECT_GT(d.interval.high, -0.5);
}

TEST(CliScores, AGuessingBaselineIsAFloor) {
  std::vector<double> guesses(40, 0.0), knows(40, 1.0);
  for (size_t i = 0; i < 10; i++) guesses[i] = 1;
  const ScoredRun guessing = run("all", "", guesses), knowing = run("all", "", knows);
  EXPECT_TRUE(eval_rows({&knowing, 1}, {&guessing, 1})[0].metrics[0].floor);
  EXPECT_FALSE(eval_rows({&guessing, 1}, {&knowing, 1})[0].metrics[0].floor);
}

TEST(CliScores, PerplexitiesAreOfSums) {
  ScoredRun text = run("all", "", {});
  text.info.generates = false;
  text.info.metrics = {{"word_perplexity", "none", "", false}, {"bits_per_byte", "none", "", false}};
  for (const auto& [log_prob, words] : {std::pair(-30.0, 10.0), std::pair(-20.0, 40.0)}) {
    ScoredSample s = sample(text.samples.size(), 0);
    s.values = {log_prob, log_prob}, s.weights = {words, 5 * words}, s.invalid = {false, false};
    text.samples.push_back(s);
  }
  const EvalRow row = eval_rows({&text, 1}, {&text, 1})[0];
  EXPECT_DOUBLE_EQ(row.metrics[0].value, std::exp(50.0 / 50));
  EXPECT_DOUBLE_EQ(row.metrics[1].value, 50.0 / 250 / std::log(2.0));
  EXPECT_TRUE(std::isnan(row.metrics[0].error));
  EXPECT_EQ(row.metrics[0].difference.difference, 0);
  EXPECT_FALSE(row.metrics[0].difference.flips);
  EXPECT_FALSE(row.metrics[0].metric.higher_is_better());
}

TEST(CliScores, CachesAreMeansOverSamples) {
  ScoredRun r = run("all", "", {1, 0});
  r.samples[1].stored = 1500, r.samples[1].too_short = true, r.samples[1].compressed = 0, r.samples[1].peak = 1600;
  r.samples[0].bytes = {{"codes", 300, 300}, {"tail", 200, 200}}, r.samples[1].bytes = {{"tail", 1500, 1600}};
  const EvalRow row = eval_rows({&r, 1}, {})[0];
  EXPECT_EQ(row.kv.bytes, 1000u);
  EXPECT_DOUBLE_EQ(row.kv.ratio, 0.5);
  EXPECT_DOUBLE_EQ(row.kv.bits_per_element, 8);
  EXPECT_EQ(row.kv.peak_bytes, 1600u);
  EXPECT_DOUBLE_EQ(row.kept, 0.25);
  EXPECT_DOUBLE_EQ(row.kept_after_prompt, 1);
  EXPECT_EQ(row.too_short, 1u);
  EXPECT_DOUBLE_EQ(row.compressed, 7);
  for (const auto& [kind, bytes] : row.kv.by_kind) {
    EXPECT_EQ(bytes, kind == "codes" ? 150u : kind == "tail" ? 850u : 0u) << kind;
  }
}

// What a filter calls nothing, by its own word for it.
TEST(CliScores, SamplesAreReadByTheirFilters) {
  RunInfo info = run("all", "", {}).info;
  info.metrics = {{"exact_match", "strict", "[invalid]", false}, {"exact_match", "last", "none", true}};
  SampleRecord record;
  record.filtered = {{"last", R"(["none"])", {{"exact_match", 0, {}}}},
                     {"strict", R"(["18"])", {{"exact_match", 1, {}}}}};
  record.ended_by = "limit";
  std::string text;
  for (int i = 0; i < 20; i++) text += "again ";
  record.responses = "[[\"" + text + "\"]]";
  const ScoredSample s = scored_sample(record, info);
  EXPECT_THAT(s.values, ElementsAre(1, 0));
  EXPECT_THAT(s.invalid, ElementsAre(false, true));
  EXPECT_TRUE(s.truncated);
  EXPECT_TRUE(s.degenerate);
}

}  // namespace
}  // namespace sluice
