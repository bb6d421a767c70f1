// Tasks by name: what is shipped, what options change, what a document is made of, and what is said of task files and
// data that are wrong.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "core/base/error.h"
#include "core/tasks/draw.h"
#include "core/tasks/task.h"
#include "core/tasks/task_file.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const fs::path kTasks = fs::path(SLUICE_SOURCE) / "configs" / "tasks";

TaskOptions sample() {
  TaskOptions options;
  options.tasks = {kTasks};
  options.data = kTasks / "sample";
  return options;
}

std::string complaint(const std::vector<std::string>& names, const TaskOptions& options) {
  try {
    load_tasks(names, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kExitUsage);
    return error.what();
  }
  return "no complaint";
}

// Ids that are drawn, by subtask.
std::map<std::string, std::vector<uint32_t>> drawn(Task task, uint32_t count, uint64_t seed) {
  draw_documents(task, count, seed);
  std::map<std::string, std::vector<uint32_t>> ids;
  for (const Subtask& subtask : task.subtasks)
    for (const Document& document : subtask.documents) ids[subtask.name].push_back(document.id);
  return ids;
}

// A task of one's own in a folder of the test's, and what is said of it.
class OwnTask {
 public:
  explicit OwnTask(const std::string& toml, const std::string& records = "{\"question\": \"q\", \"answer\": \"B\"}\n") {
    testing::put_bytes(folder_ / "own.toml", toml);
    testing::put_bytes(folder_ / "own.jsonl", records);
  }
  std::string file() const { return (folder_ / "own.toml").string(); }
  TaskOptions options() const {
    TaskOptions options;
    options.data = folder_.path();
    return options;
  }
  std::string complaint() const { return sluice::complaint({file()}, options()); }

 private:
  testing::ScratchFolder folder_;
};

const std::string kHead = R"(name = "own"
protocol = "sluice"
version = "1"
)";
const std::string kData = R"([data]
reader = "jsonl"
split = "test"
files = { test = "own.jsonl" }
[metric]
names = ["exact_match"]
)";

TEST(Tasks, DrawnDocumentsAreSpreadOverSubtasks) {
  Task whole;
  whole.file = std::make_shared<TaskFile>();
  uint64_t all = 0;
  for (const uint32_t size : {40u, 3u, 1u, 25u, 131u}) {
    Subtask& subtask = whole.subtasks.emplace_back();
    subtask.name = "of " + std::to_string(size);
    subtask.documents.resize(size);
    for (uint32_t i = 0; i < size; ++i) subtask.documents[i].id = i;
    all += size;
  }
  const uint32_t count = uint32_t(all / 2);
  const auto one = drawn(whole, count, 1);
  uint64_t sum = 0;
  for (const Subtask& subtask : whole.subtasks) {
    const auto found = one.find(subtask.name);
    const uint64_t n = found == one.end() ? 0 : found->second.size(), exact = subtask.documents.size() * count;
    EXPECT_GE(n, exact / all) << subtask.name;
    EXPECT_LE(n, exact / all + 1) << subtask.name;
    sum += n;
    if (n == 0) continue;
    EXPECT_TRUE(std::is_sorted(found->second.begin(), found->second.end()));
    EXPECT_EQ(std::set<uint32_t>(found->second.begin(), found->second.end()).size(), n);
    EXPECT_LT(found->second.back(), subtask.documents.size());
  }
  EXPECT_EQ(sum, count);
  EXPECT_EQ(drawn(whole, count, 1), one);
  EXPECT_EQ(drawn(whole, uint32_t(all), 1), drawn(whole, uint32_t(all + 5), 2)) << "all of them";
  // Each of twelve questions is drawn about as often as any other.
  const Task twelve = load_task("gsm8k_cot", sample());
  std::map<uint32_t, int> times;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const auto ids = drawn(twelve, 3, seed);
    for (const uint32_t id : ids.at("gsm8k_cot")) times[id]++;
  }
  ASSERT_EQ(times.size(), 12u);
  // 600 draws of 3 in 12: 150 each, with a deviation of sqrt(600 / 4 * 3 / 4) = 10.6; six of them are beyond chance.
  for (const auto& [id, n] : times) EXPECT_NEAR(n, 150, 64) << id;
}

// Six of thirty over three depths are two of each, drawn or the first ones.
TEST(Tasks, PartsHaveTheirShareOfWhatIsAsked) {
  TaskOptions options = sample();
  options.passkey_words = {50};
  options.passkey_depths = {0, 0.5, 1};
  const auto by_depth = [](const Task& task) {
    std::map<double, int> times;
    for (const Document& document : task.subtasks[0].documents) times[document.fields["depth"]]++;
    return times;
  };
  const std::map<double, int> two = {{0, 2}, {0.5, 2}, {1, 2}};
  const Task whole = load_task("passkey", options);
  EXPECT_EQ(whole.subtasks[0].part_totals,
            (std::map<std::string, uint32_t>{
                {"words=50, depth=0.0", 10}, {"words=50, depth=0.5", 10}, {"words=50, depth=1.0", 10}}));
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Task drawn = whole;
    draw_documents(drawn, 6, seed);
    EXPECT_EQ(by_depth(drawn), two) << seed;
    EXPECT_TRUE(std::is_sorted(drawn.subtasks[0].documents.begin(), drawn.subtasks[0].documents.end(),
                               [](const Document& a, const Document& b) { return a.id < b.id; }));
  }
  options.limit = 6;
  EXPECT_EQ(by_depth(load_task("passkey", options)), two);
}

TEST(Tasks, ALimitMayBeAShare) {
  TaskOptions options = sample();
  options.limit_share = 0.3;
  EXPECT_EQ(load_task("gsm8k_cot", options).subtasks[0].documents.size(), 4u);  // of 12, rounded up
}

TEST(Shipped, AreAllListedAndSound) {
  std::vector<std::string> names;
  size_t subtasks = 0;
  for (const TaskListing& task : list_tasks(sample())) {
    names.push_back(task.name);
    subtasks += task.subtasks.size();
    EXPECT_FALSE(task.about.empty() || task.version.empty()) << task.name;
  }
  EXPECT_THAT(names, ElementsAre("arc_challenge", "arc_easy", "bbh_cot_fewshot", "gear_bbh", "gear_gsm8k", "gear_mmlu",
                                 "gsm8k", "gsm8k_cot", "gsm8k_cot_zeroshot", "hellaswag", "mmlu",
                                 "mmlu_flan_cot_fewshot", "mmlu_flan_cot_zeroshot", "passkey", "piqa", "wikitext"));
  EXPECT_EQ(subtasks, 4u * 57 + 2 * 27);
}

TEST(Documents, OfGsm8k) {
  const Task task = load_task("gsm8k_cot", sample());
  EXPECT_EQ(task.protocol, "lm-eval");
  EXPECT_EQ(task.shots, 8u);
  EXPECT_THAT(task.stops, ElementsAre("Q:", "</s>", "<|im_end|>"));
  EXPECT_THAT(task.metrics,
              ElementsAre("exact_match,strict-match", "exact_match,flexible-extract", "number,normalized"));
  const std::vector<Document>& documents = task.subtasks.at(0).documents;
  ASSERT_EQ(documents.size(), 12u);
  EXPECT_EQ(documents[3].target, "6,000");
  EXPECT_THAT(documents[0].prompt, StartsWith("Q: There are 15 trees"));
  EXPECT_THAT(documents[0].prompt, EndsWith("left?\nA:"));
  EXPECT_GT(documents[0].shared_prefix, 2000u);
  for (const Document& one : documents) {
    EXPECT_EQ(one.shared_prefix, documents[0].shared_prefix);
    EXPECT_EQ(one.prompt.substr(0, one.shared_prefix), documents[0].prompt.substr(0, one.shared_prefix));
    EXPECT_THAT(one.prompt.substr(one.shared_prefix), StartsWith("Q: "));
  }
  const auto scores =
      score_generation(task, task.subtasks[0], documents[3], " 150 * 40 = 6000. The answer is 6000\n\nQ: x 7");
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].key(), "exact_match,strict-match");
  EXPECT_EQ(scores[0].prediction, "600");  // the full stop is lost, and the expression takes a digit for it
  EXPECT_EQ(scores[0].value, 0);
  EXPECT_EQ(scores[1].prediction, "6000");
  EXPECT_EQ(scores[1].value, 1);
  EXPECT_EQ(scores[2].value, 1);
}

TEST(Documents, OfDrawnShotsShareNothing) {
  const Task task = load_task("gsm8k", sample());
  const auto& documents = task.subtasks[0].documents;
  EXPECT_EQ(documents[0].shared_prefix, 0u);
  EXPECT_NE(documents[0].prompt.substr(0, 60), documents[1].prompt.substr(0, 60));
  TaskOptions other = sample();
  other.seed = 7;
  EXPECT_NE(load_task("gsm8k", other).subtasks[0].documents[0].prompt, documents[0].prompt);
}

TEST(Documents, OfMultipleChoice) {
  const Task task = load_task("mmlu_anatomy", sample());
  EXPECT_EQ(task.kind, TaskKind::kMultipleChoice);
  ASSERT_EQ(task.subtasks.size(), 1u);
  EXPECT_EQ(task.subtasks[0].name, "mmlu_anatomy");
  EXPECT_EQ(task.subtasks[0].group, "mmlu_stem");
  const Document& one = task.subtasks[0].documents[2];
  EXPECT_THAT(one.choices, ElementsAre(" A", " B", " C", " D"));
  EXPECT_EQ(one.gold, 2u);
  EXPECT_THAT(one.prompt, HasSubstr("The heart has four chambers.\nStatement 2"));
  const std::vector<double> sums = {-3, -2, -1, -4}, ties = {-1, -1, -1, -1};
  EXPECT_EQ(score_choices(task, one, sums)[0].value, 1);
  EXPECT_EQ(score_choices(task, one, ties)[0].prediction, "0");
  const Task normed = load_task("piqa", sample());
  const Document& pair = normed.subtasks[0].documents[9];
  EXPECT_THAT(pair.choices, ElementsAre(" Use a broom.", " Use a fork."));
  const std::vector<double> close = {-11.5, -11.3};
  EXPECT_EQ(score_choices(normed, pair, close)[0].key(), "acc,none");
  EXPECT_EQ(score_choices(normed, pair, close)[0].value, 0);
  EXPECT_EQ(score_choices(normed, pair, close)[1].value, 1);  // over 12 and 11 characters
}

TEST(Documents, OfPasskeys) {
  TaskOptions options = sample();
  options.passkey_words = {100, 400};
  options.passkey_depths = {0, 0.5, 1};
  const Task task = load_task("passkey", options);
  const auto& documents = task.subtasks[0].documents;
  ASSERT_EQ(documents.size(), 2u * 3 * 10);
  for (const Document& one : documents) {
    EXPECT_EQ(one.target.size(), 5u);
    const size_t at = one.prompt.find(one.target);
    const double depth = one.fields["depth"];
    const double where = double(at - one.shared_prefix) / double(one.prompt.size() - one.shared_prefix);
    EXPECT_NEAR(where, depth, 0.25) << depth;
  }
  EXPECT_GT(documents[59].prompt.size(), 3 * documents[0].prompt.size());
  EXPECT_EQ(load_task("passkey", options).subtasks[0].documents[7].prompt, documents[7].prompt);
  EXPECT_EQ(score_generation(task, task.subtasks[0], documents[0], " " + documents[0].target + ". And")[0].value, 1);
  EXPECT_EQ(score_generation(task, task.subtasks[0], documents[0], " lost")[0].invalid, true);
}

TEST(Options, ChooseDocumentsAndShots) {
  TaskOptions options = sample();
  options.limit = 3;
  EXPECT_EQ(load_task("gsm8k_cot", options).subtasks[0].documents.size(), 3u);
  options.samples = {7, 2, 7};
  const Task chosen = load_task("gsm8k_cot", options);
  ASSERT_EQ(chosen.subtasks[0].documents.size(), 2u);
  EXPECT_EQ(chosen.subtasks[0].documents[1].id, 7u);
  options.samples = {12};
  EXPECT_THAT(complaint({"gsm8k_cot"}, options), HasSubstr("there is no sample 12 of gsm8k_cot: it has 12"));
  options.samples.clear();
  options.shots = 0;
  EXPECT_THAT(load_task("gsm8k_cot", options).subtasks[0].documents[0].prompt, StartsWith("Q: A gardener"));
  options.shots = 9;
  EXPECT_THAT(complaint({"gsm8k_cot"}, options), HasSubstr("9 shots, but gsm8k_cot has 8 examples"));
  EXPECT_THAT(complaint({"gsm8k_cot_zeroshot"}, options), HasSubstr("has no examples to show"));
  EXPECT_THAT(complaint({"passkey"}, options), HasSubstr("passkey.toml: passkey has no examples to show: its shots can "
                                                         "only be 0, as in --shots passkey=0"));
  options.shots = 1, options.task_shots = {{"mmlu", 2}, {"mmlu_anatomy", 3}, {"passkey", 0}};
  EXPECT_EQ(load_task("mmlu_anatomy", options).shots, 3u);
  options.task_shots.erase("mmlu_anatomy");
  EXPECT_EQ(load_task("mmlu_anatomy", options).shots, 2u);
  EXPECT_EQ(load_task("gsm8k_cot", options).shots, 1u);
  EXPECT_EQ(load_task("passkey", options).shots, 0u);
}

TEST(Stops, CutInTurn) {
  Task task;
  task.stops = {"Q:", "\n\n"};
  EXPECT_EQ(cut_at_stops(task, "a\n\nb Q: c"), "a");
  EXPECT_EQ(cut_at_stops(task, "Q: c"), "");
  EXPECT_TRUE(reached_stop(task, "ab\n\n"));
  EXPECT_FALSE(reached_stop(task, "ab\nQ"));
  task.stop_at_start = false;
  EXPECT_EQ(cut_at_stops(task, "Q: c Q: d"), "Q: c Q: d");
  EXPECT_FALSE(reached_stop(task, "Q: c"));
}

TEST(Mistakes, OfNames) {
  EXPECT_THAT(complaint({"gsm8k_cott", "mmlu_anatomi"}, sample()),
              AllOf(HasSubstr("there is no task \"gsm8k_cott\" (did you mean \"gsm8k_cot\"?); tasks: arc_challenge,"),
                    HasSubstr("there is no task \"mmlu_anatomi\" (did you mean \"mmlu_anatomy\"?)")));
}

TEST(Mistakes, OfMissingData) {
  TaskOptions options = sample();
  testing::ScratchFolder empty;
  options.data = empty.path();
  const std::string said = complaint({"gsm8k_cot", "mmlu", "hellaswag"}, options);
  EXPECT_THAT(said,
              HasSubstr("gsm8k/test.jsonl; get it with: scripts/get_data.sh gsm8k --to " + empty.path().string()));
  EXPECT_THAT(said, HasSubstr("and 113 more files; get it with: scripts/get_data.sh mmlu"));
  EXPECT_THAT(said, HasSubstr("hellaswag lacks"));
}

TEST(Mistakes, OfTaskFilesComeTogether) {
  const OwnTask task(kHead + R"(kind = "generate"
[data]
reader = "jsnol"
split = "test"
files = { test = "own.jsonl" }
[prompt]
text = "{{question | stripp}}"
tragedy = "x"
[generate]
max_tokens = 0
[[filters]]
name = "a"
regex = "(x"
[[filters]]
name = "a"
regex = 'x'
scorer = "gear_gsm"
[metric]
names = ["exact"]
)");
  const std::string said = task.complaint();
  for (const char* part :
       {"own.toml:6:10: data.reader takes one of jsonl, json, csv, wikitext, passkey, not the string \"jsnol\" (did "
        "you mean "
        "\"jsonl\"?)",
        "own.toml:10:8: {{question | stripp}}: there is no filter \"stripp\" (did you mean \"strip\"?)",
        "own.toml:11:1: [prompt] has no \"tragedy\"; it takes:",
        "own.toml:13:14: generate.max_tokens takes a whole number from 1 to 1048576, not 0",
        "own.toml:16:9: filters[0].regex: \"(x\" is no regular expression of Python's: a group is never closed (at "
        "character 1)",
        "filters[1].scorer takes one of gear_gsm8k, gear_mmlu, gear_bbh, not the string \"gear_gsm\"",
        "two filters are called \"a\"", "metric.names takes one of exact_match, number"})
    EXPECT_THAT(said, HasSubstr(part));
  EXPECT_THAT(OwnTask("").complaint(), HasSubstr("own.toml: is empty"));
}

TEST(Mistakes, OfTemplatesThatTheDataDoNotFill) {
  const OwnTask task(kHead + "kind = \"generate\"\n" + kData +
                     "[prompt]\ntext = \"{{questoin}}\"\ntarget = \"{{answer}}\"\n");
  EXPECT_THAT(task.complaint(), HasSubstr("own.toml:12:8: {{questoin}}: there is no field \"questoin\" (did you mean "
                                          "\"question\"?); there are: question, answer (in "));
}

TEST(Mistakes, OfRecordsThatAreNotAsked) {
  const OwnTask task(
      kHead + "kind = \"generate\"\n" + kData + "[prompt]\ntext = \"{{question}}\"\ntarget = \"{{answer}}\"\n",
      "{\"question\": \"q\", \"answer\": \"B\"}\n{\"question\": \"q\"}\n");
  TaskOptions options = task.options();
  options.limit = 1;
  EXPECT_THAT(sluice::complaint({task.file()}, options), HasSubstr("there is no field \"answer\""));
}

TEST(Mistakes, OfTooFewAnswers) {
  const std::string choice = kHead + "kind = \"multiple_choice\"\n" + R"([data]
reader = "jsonl"
split = "test"
files = { test = "own.jsonl" }
[metric]
names = ["acc"]
)";
  EXPECT_THAT(
      OwnTask(choice + "[prompt]\ntext = \"{{question}}\"\ntarget = \"{{answer}}\"\nchoices = [\"A\"]\n").complaint(),
      HasSubstr("one choice is no choice"));
  EXPECT_THAT(OwnTask(choice + "[prompt]\ntext = \"{{question}}\"\ntarget = \"{{answer}}\"\nchoice_list = \"list\"\n",
                      "{\"question\": \"q\", \"answer\": \"0\", \"list\": [\"x\"]}\n")
                  .complaint(),
              HasSubstr("own.jsonl:1: has 1 to choose from; a question needs two answers or more"));
  EXPECT_THAT(OwnTask(choice + "[prompt]\ntext = \"{{question}}\"\ntarget = \"{{answer}}\"\nchoices = [\"A\", \"B\"]\n")
                  .complaint(),
              HasSubstr("own.jsonl:1: the answer \"B\" is none of 0, 1"));
}

TEST(Mistakes, OfRecords) {
  const std::string toml =
      kHead + "kind = \"generate\"\n" + kData + "[prompt]\ntext = \"{{question}}\"\ntarget = \"{{answer}}\"\n";
  EXPECT_EQ(OwnTask(toml).complaint(), "no complaint");
  EXPECT_THAT(OwnTask(toml, "{\"question\": \"q\", \"answer\": \"B\"}\nnot json\n").complaint(),
              HasSubstr("own.jsonl:2: is not valid JSON"));
  EXPECT_THAT(OwnTask(toml, "\n").complaint(), HasSubstr("own.jsonl: holds no record"));
}

}  // namespace
}  // namespace sluice
