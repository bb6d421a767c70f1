// GEAR's ways of reading an answer, case by case as its published scripts read them, and its prompts on files of their
// layout.
#include <gmock/gmock.h>

#include "core/tasks/scorers.h"
#include "core/tasks/task.h"
#include "support/scratch_folder.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::StartsWith;

struct Case {
  const char *text, *target, *prediction;
  bool right;
};

void expect_cases(const char* scorer, const char* subtask, std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    const ScorerResult result = run_scorer(scorer, one.text, one.target, subtask);
    EXPECT_EQ(result.prediction, one.prediction) << one.text;
    EXPECT_EQ(result.right, one.right) << one.text;
  }
}

TEST(GearScorers, TakeTheLastNumberOfGsm8k) {
  expect_cases("gear_gsm8k", "",
               {{"5 + 3 = 8\nThe answer is 8.", "#### 8", "8", true},
                {"The answer is 1,000", "x\n#### 1000", "1000", true},
                {"The answer is -5", "#### 5", "5", true},  // signs are not looked at
                {"The answer is .5 or 0.50", "#### 0.5", "0.50", true},
                {"8.0.", "#### 8", "8.0", true},
                {"1.2.3", "#### 3", ".3", false},
                {"3 apples and 4", "#### 3", "4", false},
                {"none", "#### 3", "[invalid]", false}});
}

TEST(GearScorers, TakeTheLetterOfMmlu) {
  expect_cases(
      "gear_mmlu", "",
      {{" We see. The answer is (B).", "B", "b", true},
       {"so THE ANSWER IS (c", "C", "c", true},
       {"so the answer is (c", "C", "c", true},
       {"The answer is B.\nThe answer is (B).", "B", "[invalid]", false},  // the first line with the words decides
       {"one\ntwo\nThe answer is (D).\nThe answer is (A).", "D", "d", true},
       {"the answer is (the answer is (A)", "A", "[invalid]", false},
       {"the answer is (", "A", "[invalid]", false},
       {"", "A", "[invalid]", false}});
}

TEST(GearScorers, TakeLettersOrWordsOfBbh) {
  expect_cases("gear_bbh", "snarks",
               {{"So the answer is (B).", "(B)", "B", true},
                {"So the answer is (B)", "(B)", "B", true},
                {"answer is (A). no, the answer is (B) then", "(B)", "B", true},
                {"the answer is either (C) or (A).", "(A)", "A", true},  // the first of the alphabet, not of the line
                {"the answer is B.", "(B)", "B.", false},
                {"nothing", "(B)", "nothing", false}});
  expect_cases("gear_bbh", "navigate",
               {{"So the answer is Yes.", "Yes", "Yes", true},
                {"So the answer is Yes", "Yes", "Yes", true},
                {"So the answer is yes.", "Yes", "yes", false},
                {"So the answer is Yes. Then", "Yes", "Yes. Then", false},
                {"Yes", "Yes", "Yes", true},
                {"the answer is .", "", "", true}});
}

TEST(GearPrompts, AreThePublishedTextAndTheQuestion) {
  SLUICE_NEED_SHARED(shared, "data");
  TaskOptions options;
  options.tasks = {fs::path(SLUICE_SOURCE) / "configs" / "tasks"};
  options.data = shared;
  options.limit = 2;
  const Task gsm8k = load_task("gear_gsm8k", options);
  const Document& first = gsm8k.subtasks[0].documents[0];
  EXPECT_EQ(first.shared_prefix, 2374u);  // the whole file
  EXPECT_THAT(first.prompt.substr(2374), StartsWith("\nQuestion: Janet"));
  EXPECT_THAT(first.prompt, EndsWith("market?\n"));
  EXPECT_EQ(cut_at_stops(gsm8k, "5\nQuestion: x"), "5");
  const Task bbh = load_task("gear_bbh", options);
  EXPECT_EQ(bbh.subtasks.size(), 27u);
  EXPECT_FALSE(bbh.weight_by_size);
  for (const Subtask& subtask : bbh.subtasks) {
    const Document& one = subtask.documents[0];
    EXPECT_EQ(one.prompt.find("canary"), std::string::npos);
    EXPECT_THAT(one.prompt.substr(one.shared_prefix), StartsWith("\n\nQ: "));
    EXPECT_THAT(one.prompt, EndsWith("\nA: Let's think step by step."));
  }
  EXPECT_EQ(cut_at_stops(bbh, "\n\nQ: a\n\nQ: b"), "\n\nQ: a\n\nQ: b");
  const Task mmlu = load_task("gear_mmlu_anatomy", options);
  const Document& one = mmlu.subtasks[0].documents[0];
  EXPECT_THAT(one.prompt,
              StartsWith("The following are multiple choice questions (with answers) about anatomy.\n\nQ: "));
  EXPECT_THAT(one.prompt.substr(one.shared_prefix), StartsWith("\n\n"));
  EXPECT_THAT(one.prompt, EndsWith(" \nA: Let's think step by step."));
}

}  // namespace
}  // namespace sluice
