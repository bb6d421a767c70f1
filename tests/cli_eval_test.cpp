// `sluice eval` and `sluice diff` on a generated model: results and files, resuming, deaths, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "cli_program.h"
#include "core/base/file.h"
#include "core/store/store.h"
#include "support/store_samples.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CliEval : public ::testing::Test {
 protected:
  CliEval() {
    TinyModel tiny;
    tiny.head_dim = 32, tiny.context = 4096;
    write_tiny_gguf(folder_ / "tiny.gguf", tiny);
    coded_ = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 16\n");
    evicted_ = write("evicted.toml", "[evictor]\nname = \"h2o\"\n[cache]\nbudget = 48\ninterval = 4\n");
    write_task(40);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    // One thread: the peak of a sample's pieces depends on what two do at once.
    std::ofstream(folder_ / name) << "[model]\npath = \"tiny.gguf\"\n[backend]\nname = \"cpu\"\nthreads = 1\n" << text;
    return path(name);
  }
  // A task of our own, of few tokens: "adds" with its data in the folder.
  void write_task(int questions) const {
    std::ofstream data(folder_ / "adds.jsonl");
    for (int i = 0; i < questions; i++)
      data << fmt::format("{{\"question\": \"How much is {} and {}?\", \"answer\": \"{}\"}}\n", i, 3 * i, 4 * i);
    std::ofstream(folder_ / "adds.toml") << R"(
name = "adds"
about = "sums"
protocol = "sluice"
version = "1"
kind = "generate"
[data]
reader = "jsonl"
split = "test"
files = { test = "adds.jsonl" }
[prompt]
description = "Here are questions and their answers. Answer the last one in the same way.\n\n"
text = "Q: {{question}}\nA:"
target = "{{answer}}"
[generate]
stops = ["Q:"]
max_tokens = 12
[metric]
names = ["exact_match"]
[[filters]]
name = "last"
regex = '-?[0-9]+'
group_select = -1
)";
  }
  // The command over our own task.
  Program start(std::vector<std::string> words) const {
    words.insert(words.begin(), {"eval", coded_, evicted_});
    words.insert(words.end(), {"--tasks", path("adds.toml"), "--data", folder_.path().string()});
    return Program(words);
  }
  Outcome adds(std::vector<std::string> words) const { return start(std::move(words)).wait(); }
  // Over the sample data.
  static Outcome sampled(std::vector<std::string> words) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--data", std::string(SLUICE_SOURCE) + "/configs/tasks/sample"});
    return sluice(words);
  }
  // All that a store holds, but for times.
  std::vector<std::string> content(const std::string& out) const {
    std::vector<std::string> all;
    Store store = Store::to_read(folder_ / out);
    for (const StoredRun& run : store.runs()) {
      all.push_back(run.record.key() + " " + run.record.policy + " " + run.record.task);
      for (SampleRecord s : store.samples(run.run)) {
        s.seconds = s.prompt_seconds = 0;
        all.push_back(dump(s));
      }
    }
    return all;
  }
  uint64_t stored(const std::string& out) const {
    if (!std::filesystem::exists(Store::file_in(folder_ / out))) return 0;
    uint64_t samples = 0;
    try {
      Store store = Store::to_read(folder_ / out);
      for (const StoredRun& run : store.runs()) samples += run.samples;
    } catch (const Error&) {
      // It is being made.
    }
    return samples;
  }

  ScratchFolder folder_;
  std::string coded_, evicted_;
};

TEST_F(CliEval, PoliciesAndABaselineAnswerTheSameQuestions) {
  const Outcome ran = sampled({coded_, evicted_, "--tasks", "gsm8k_cot,mmlu_anatomy", "--limit", "3", "--out",
                               path("out"), "--json", "--log-samples"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, AllOf(HasSubstr("sluice: memory at most "), HasSubstr("caches of 16 sequences"),
                             HasSubstr("18 samples in ")));
  const json result = json::parse(ran.out);
  std::vector<std::string> names;
  for (const json& policy : result["policies"]) names.push_back(policy["policy"]);
  EXPECT_EQ(names, (std::vector<std::string>{"full", "coded", "evicted"}));
  EXPECT_LE(result["memory"]["cache_peak"], result["memory"]["planned"]);
  for (const json& policy : result["policies"]) {
    const bool full = policy["policy"] == "full";
    EXPECT_EQ(policy["reference"], full);
    ASSERT_EQ(policy["tasks"].size(), 2u);
    const json &gsm = policy["tasks"]["gsm8k_cot"], &mmlu = policy["tasks"]["mmlu_anatomy"];
    EXPECT_TRUE(gsm["exact_match,strict-match"].is_number());
    EXPECT_TRUE(gsm["exact_match_stderr,flexible-extract"].is_number());
    EXPECT_TRUE(mmlu["acc,none"].is_number());
    EXPECT_EQ(gsm["protocol"], "lm-eval");
    EXPECT_EQ(gsm["n-shot"], 8);
    EXPECT_EQ(gsm["samples"], 3);
    EXPECT_EQ(gsm["total"], 12);
    EXPECT_GT(gsm["generated"], 0);
    EXPECT_TRUE(mmlu["generated"].is_null());
    for (const json* task : {&gsm, &mmlu}) {
      EXPECT_EQ((*task)["paired"], 3);
      EXPECT_EQ((*task)["compressed_before_scoring"] > 0, !full);
      EXPECT_EQ((*task)["kv"]["ratio"] < 0.9, !full);
      EXPECT_EQ((*task)["too_short"], 0);
    }
    EXPECT_EQ(gsm["against_baseline"]["exact_match,strict-match"]["flips_lost"].is_number(), true);
    EXPECT_EQ(gsm["first_divergence"]["texts"] > 0, !full);  // of a random model every text does
  }
  EXPECT_LT(result["policies"][2]["tasks"]["gsm8k_cot"]["kept"], 0.1);
  EXPECT_EQ(result["policies"][1]["tasks"]["gsm8k_cot"]["kept"], 1.0);
  // The harness's files, a folder per policy.
  for (const std::string& name : names) {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out" / ("tiny@" + name)))
      files.push_back(entry.path().filename().string().substr(0, 12));
    EXPECT_EQ(files.size(), 5u) << name;
  }
}

TEST_F(CliEval, TheTableHasTheHarnesssColumns) {
  const Outcome ran = adds({"--limit", "4", "--out", path("out")});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("### full (F16, keeps all)"), HasSubstr("### Against full"),
                             HasSubstr("| Tasks | Version | Filter | n-shot | Metric      |     |"),
                             HasSubstr("compressed before scoring"), HasSubstr("baseline")));
  // All of it again as a flat table, of what is stored.
  const Outcome csv = adds({"--limit", "4", "--out", path("out"), "--resume", "-o", "csv"});
  ASSERT_EQ(csv.code, 0) << csv.err;
  EXPECT_THAT(csv.err,
              AllOf(HasSubstr("12 samples are there already, 0 to be made"), Not(HasSubstr("memory at most"))));
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 4);
  EXPECT_THAT(csv.out, AllOf(HasSubstr("flips_lost,flips_won,mcnemar_p"), HasSubstr(",kv_by_kind_codes,")));
}

TEST_F(CliEval, AResumedRunIsTheUndisturbedOne) {
  ASSERT_EQ(adds({"--limit", "6", "--out", path("whole"), "--batch", "4"}).code, 0);
  ASSERT_EQ(adds({"--limit", "2", "--out", path("parts"), "--batch", "1"}).code, 0);
  const Outcome again = adds({"--limit", "6", "--out", path("parts")});
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, AllOf(HasSubstr("holds 2 samples of adds under full already"), HasSubstr("--resume")));
  const Outcome resumed = adds({"--limit", "6", "--out", path("parts"), "--batch", "3", "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("6 samples are there already, 12 to be made"));
  // Two questions share more than six do, which their own pieces' peak shows: those are not compared.
  const auto answers = [&](const std::string& out) {
    std::vector<std::string> all;
    Store store = Store::to_read(folder_ / out);
    for (const StoredRun& run : store.runs())
      for (const SampleRecord& s : store.samples(run.run))
        all.push_back(fmt::format("{} {} {} {} {}", run.record.key(), s.doc_id, s.responses, s.tokens, s.stored_bytes));
    return all;
  };
  EXPECT_EQ(answers("parts"), answers("whole"));
  // Other settings are another run in the same store.
  EXPECT_EQ(sluice({"eval", coded_, "--tasks", path("adds.toml"), "--data", folder_.path().string(), "--limit", "2",
                    "--out", path("parts"), "--set", "codec.bits=8", "--resume"})
                .code,
            0);
  Store store = Store::to_read(folder_ / "parts");
  EXPECT_EQ(store.runs().size(), 4u);
}

TEST_F(CliEval, DeathsChangeNothing) {
  ASSERT_EQ(adds({"--out", path("whole"), "--batch", "5"}).code, 0);
  std::mt19937 random(3);
  uint64_t before = 0;
  for (int death = 0; death < 20; death++) {
    Program program = start({"--out", path("killed"), "--resume", "--batch", std::to_string(1 + death % 4)});
    // Some samples further, or somewhere on the way to the first.
    const uint64_t until = death % 3 == 0 ? before : before + 1 + random() % 5;
    while (!program.ended() && stored("killed") < until) usleep(200);
    for (uint64_t i = 0, n = random() % 3000000; i < n; i++) asm volatile("" ::: "memory");
    ASSERT_FALSE(program.ended()) << "it was to be killed before it ended, death " << death;
    kill(program.id(), SIGKILL);
    while (!program.ended()) usleep(200);
    EXPECT_GE(stored("killed"), before);
    before = stored("killed");
  }
  EXPECT_GT(before, 8u);
  const Outcome last = adds({"--out", path("killed"), "--resume"});
  ASSERT_EQ(last.code, 0) << last.err;
  const std::vector<std::string> killed = content("killed"), whole = content("whole");
  ASSERT_EQ(killed.size(), whole.size());
  for (size_t i = 0; i < whole.size(); i++) EXPECT_EQ(killed[i], whole[i]);
}

TEST_F(CliEval, AnInterruptedRunPrintsWhatItHas) {
  write_task(400);
  Program program = start({"--out", path("out"), "--batch", "2", "--json"});
  while (!program.ended() && stored("out") < 5) usleep(200);
  kill(program.id(), SIGINT);
  const Outcome ended = program.wait();
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("finished samples are kept, --resume goes on"), HasSubstr("interrupted")));
  const json result = json::parse(ended.out);
  EXPECT_EQ(result["policies"][0]["tasks"]["adds"]["samples"], stored("out"));
}

TEST_F(CliEval, DiffHoldsRunsAgainstEachOther) {
  ASSERT_EQ(adds({"--limit", "8", "--out", path("one")}).code, 0);
  ASSERT_EQ(adds({"--limit", "5", "--out", path("two")}).code, 0);
  const Outcome same = sluice({"diff", path("one"), path("two"), "--json"});
  ASSERT_EQ(same.code, 0) << same.err;
  const json pairs = json::parse(same.out)["pairs"];
  ASSERT_EQ(pairs.size(), 3u);
  for (const json& pair : pairs) {
    const json& task = pair["tasks"]["adds"];
    EXPECT_EQ(task["paired"], 5);
    EXPECT_EQ(task["only_a"], 3);
    EXPECT_EQ(task["only_b"], 0);
    EXPECT_EQ(task["first_divergence"]["texts"], 0);
    EXPECT_EQ(task["exact_match,last"]["mcnemar_p"], 1.0);
    EXPECT_EQ(pair["differ_in"], json::array());
  }
  const Outcome policies = sluice({"diff", path("one") + ":full", path("one") + ":evicted", "--json"});
  ASSERT_EQ(policies.code, 0) << policies.err;
  const json pair = json::parse(policies.out)["pairs"][0];
  EXPECT_EQ(pair["tasks"]["adds"]["paired"], 8);
  EXPECT_GT(pair["tasks"]["adds"]["first_divergence"]["texts"], 0);
  EXPECT_THAT(pair["differ_in"].dump(), AllOf(HasSubstr("evictor"), HasSubstr("cache"), Not(HasSubstr("model"))));
  const Outcome table = sluice({"diff", path("one") + ":full", path("two") + ":coded"});
  EXPECT_THAT(table.out, AllOf(HasSubstr("| McNemar p |"), HasSubstr("full and coded differ in: ")));
  EXPECT_EQ(sluice({"diff", path("one") + ":full", path("one") + ":evicted", "--fail-if", "diverged>0"}).code, 3);
  EXPECT_EQ(sluice({"diff", path("one"), path("two"), "--fail-if", "diverged>0"}).code, 0);
  const Outcome one = sluice({"diff", path("one"), path("one")});
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("name a policy of each"));
  const Outcome unknown = sluice({"diff", path("one") + ":evictd", path("two")});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"evicted\"?"));
  EXPECT_EQ(sluice({"diff", path("none"), path("two")}).code, 2);
}

TEST_F(CliEval, GatesJudgePoliciesNotTheBaseline) {
  const std::vector<std::string> base = {"--limit", "3", "--out", path("out"), "--resume"};
  const auto with = [&](const std::string& gate) {
    std::vector<std::string> words = base;
    words.insert(words.end(), {"--fail-if", gate});
    return adds(words);
  };
  const Outcome failed = with("ratio>0.9");
  EXPECT_EQ(failed.code, 0) << failed.err;  // the baseline's is 1
  const Outcome differs = with("diverged>0");
  EXPECT_EQ(differs.code, 3);
  EXPECT_THAT(differs.err, HasSubstr("evicted adds does not pass: diverged is "));
  const Outcome none = with("acc<0.5");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("none of these tasks has acc"));
  const Outcome lengths = sampled(
      {coded_, "--tasks", "mmlu_anatomy", "--limit", "1", "--out", path("other"), "--fail-if", "degenerate>0.1"});
  EXPECT_EQ(lengths.code, 2);
  EXPECT_THAT(lengths.err, HasSubstr("no task here has degenerate"));
  const Outcome wrong = with("flips>1");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("there is no field \"flips\""));
}

TEST_F(CliEval, AnswersAreForcedThroughEveryPolicy) {
  const auto forced = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"--limit", "4", "--out", path("out"), "--json", "--fidelity"};
    words.insert(words.end(), more.begin(), more.end());
    return adds(words);
  };
  const Outcome ran = forced({"--fail-if", "kld<0"});
  EXPECT_EQ(ran.code, 2) << "a KLD is never below 0";
  const Outcome measured = forced({});
  ASSERT_EQ(measured.code, 0) << measured.err;
  EXPECT_THAT(measured.err, HasSubstr("memory at most"));
  const json policies = json::parse(measured.out)["policies"];
  uint64_t spoken = 0;
  Store store = Store::to_read(folder_ / "out");
  for (const StoredRun& run : store.runs())
    if (run.record.policy == "full")
      for (const SampleRecord& s : store.samples(run.run)) spoken += s.tokens.size();
  EXPECT_TRUE(policies[0]["tasks"]["adds"]["fidelity"].is_null());
  for (const size_t p : {1, 2}) {
    const json& f = policies[p]["tasks"]["adds"]["fidelity"];
    EXPECT_EQ(f["tokens"], spoken);
    EXPECT_GT(f["kld_mean"], 0);
    EXPECT_GT(f["kld_se"], 0);
    EXPECT_LE(f["same_top"], 1);
    EXPECT_TRUE(f["dp"]["p99_9"].is_number());
  }
  // It is in the store: nothing is measured again, and a run without the flag still shows it.
  const Outcome again = adds({"--limit", "4", "--out", path("out"), "--json", "--resume"});
  EXPECT_EQ(json::parse(again.out)["policies"][1]["tasks"]["adds"]["fidelity"],
            policies[1]["tasks"]["adds"]["fidelity"]);
  // More questions: only theirs.
  const Outcome more =
      adds({"--limit", "6", "--out", path("out"), "--json", "--resume", "--fidelity", "--fail-if", "kld<1e9"});
  EXPECT_EQ(more.code, 3) << more.err;
  EXPECT_THAT(more.err, HasSubstr("evicted adds does not pass: kld is "));
  EXPECT_GT(json::parse(more.out)["policies"][1]["tasks"]["adds"]["fidelity"]["tokens"], spoken);
  const Outcome unmeasured = adds({"--limit", "4", "--out", path("other"), "--fail-if", "kld>1"});
  EXPECT_EQ(unmeasured.code, 2);
  EXPECT_THAT(unmeasured.err, HasSubstr("needs --fidelity"));
  // Choices and measured texts have answers too.
  const Outcome kinds = sampled({coded_, "--tasks", "mmlu_anatomy,wikitext", "--limit", "2", "--out", path("kinds"),
                                 "--json", "--fidelity", "--set", "model.context=600"});
  ASSERT_EQ(kinds.code, 0) << kinds.err;
  const json tasks = json::parse(kinds.out)["policies"][1]["tasks"];
  EXPECT_EQ(tasks["mmlu_anatomy"]["fidelity"]["tokens"], 4);  // this tokenizer has no " A": a space and a letter
  EXPECT_GT(tasks["wikitext"]["fidelity"]["tokens"], 100);
}

TEST_F(CliEval, QuestionsAreDrawnAndLengthsCut) {
  const auto ids = [&](const std::string& out) {
    std::vector<uint64_t> all;
    Store store = Store::to_read(folder_ / out);
    for (const SampleRecord& s : store.samples(store.runs()[0].run)) {
      all.push_back(s.doc_id);
      EXPECT_LE(s.tokens.size(), 5u);
      EXPECT_THAT(s.arguments, HasSubstr("\"max_gen_toks\":5"));
    }
    return all;
  };
  const auto draw = [&](const std::string& out, const std::string& seed) {
    const Outcome ran = adds({"--draw", "6", "--seed", seed, "--max-tokens", "5", "--out", path(out), "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    const json result = json::parse(ran.out);
    EXPECT_EQ(result["draw"], json({{"count", 6}, {"seed", std::stoi(seed)}}));
    EXPECT_EQ(result["policies"][0]["tasks"]["adds"]["changes"], json::array({"--max-tokens 5"}));
    return ids(out);
  };
  const auto one = draw("one", "7");
  EXPECT_EQ(one.size(), 6u);
  EXPECT_EQ(draw("again", "7"), one);
  EXPECT_NE(draw("other", "8"), one);
  EXPECT_EQ(adds({"--draw", "6", "--limit", "2", "--out", path("x")}).code, 2);
  EXPECT_EQ(adds({"--seed", "6", "--out", path("x")}).code, 2);
  for (const char* limit : {"0", "1.5", "-2", "x"})
    EXPECT_EQ(adds({"--limit", limit, "--out", path("x")}).code, 2) << limit;
}

TEST_F(CliEval, PasskeysAreShownByLengthAndDepth) {
  const Outcome ran = sampled({coded_, "--tasks", "passkey", "--passkey-words", "40,90", "--passkey-depths", "0,1",
                               "--out", path("out"), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json tasks = json::parse(ran.out)["policies"][1]["tasks"];
  ASSERT_EQ(tasks.size(), 5u);
  for (const char* part :
       {"words=40, depth=0.0", "words=40, depth=1.0", "words=90, depth=0.0", "words=90, depth=1.0"}) {
    const json& row = tasks[fmt::format("passkey[{}]", part)];
    EXPECT_EQ(row["samples"], 10) << part;
    EXPECT_EQ(row["paired"], 10);
  }
  EXPECT_EQ(tasks["passkey"]["samples"], 40);
  const Outcome few = sampled({coded_, "--tasks", "passkey", "--passkey-words", "40", "--passkey-depths", "0,1",
                               "--draw", "6", "-t", "2", "--out", path("few"), "-o", "jsonl"});
  ASSERT_EQ(few.code, 0) << few.err;
  std::istringstream lines(few.out);
  std::map<std::string, json> parts;
  for (std::string line; std::getline(lines, line);)
    if (const json row = json::parse(line); row["policy"] == "coded" && row["level"] == 1) parts[row["part"]] = row;
  ASSERT_EQ(parts.size(), 2u) << few.out;
  for (const char* part : {"words=40, depth=0.0", "words=40, depth=1.0"}) {
    EXPECT_EQ(parts[part]["samples"], 3);
    EXPECT_EQ(parts[part]["total"], 10);
  }
  // Not among the harness's tasks.
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out" / "tiny@coded"))
    if (entry.path().filename().string().starts_with("results_")) {
      EXPECT_EQ(json::parse(std::ifstream(entry.path()))["results"].size(), 1u);
    }
  EXPECT_EQ(sampled({coded_, "--tasks", "passkey", "--passkey-depths", "0,1.5", "--out", path("x")}).code, 2);
}

TEST_F(CliEval, SamplesAreChosenByNumber) {
  std::ofstream(folder_ / "chosen.json") << R"({"mmlu_anatomy": [7, 2]})";
  const Outcome ran = sampled(
      {coded_, "--tasks", "mmlu_anatomy,arc_easy", "--samples", path("chosen.json"), "--out", path("out"), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["policies"][0]["tasks"]["arc_easy"]["samples"], 10);
  Store store = Store::to_read(folder_ / "out");
  std::vector<uint64_t> ids;
  for (const SampleRecord& s : store.samples(store.runs()[0].run)) ids.push_back(s.doc_id);
  EXPECT_EQ(ids, (std::vector<uint64_t>{2, 7}));
  std::ofstream(folder_ / "chosen.json") << R"({"mmlu_anatomi": [7]})";
  const Outcome wrong =
      sampled({coded_, "--tasks", "mmlu_anatomy", "--samples", path("chosen.json"), "--out", path("other")});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean \"mmlu_anatomy\"?"));
}

TEST_F(CliEval, ChosenQuestionsKeepTheExamplesOfTheirGroup) {
  std::filesystem::create_directory(folder_ / "tasks");
  std::filesystem::copy(folder_ / "adds.toml", folder_ / "tasks" / "adds.toml");
  std::ofstream(folder_ / "tasks" / "adds.toml", std::ios::app)
      << "[shots]\ncount = 2\nsplit = \"test\"\n[subtasks]\ngroups = { all = [\"one\"] }\nprefix = \"adds_\"\n"
         "group_prefix = \"adds_\"\n";
  std::ofstream(folder_ / "chosen.json") << R"({"adds_one": [5]})";
  setenv("SLUICE_TASKS", path("tasks").c_str(), 1);
  const Outcome ran = sluice({"eval", coded_, "--data", folder_.path().string(), "--tasks", "adds_all", "--shots",
                              "adds_all=1", "--samples", path("chosen.json"), "--out", path("out")});
  unsetenv("SLUICE_TASKS");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::vector<SampleRecord> samples = Store::to_read(folder_ / "out").samples(1);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_THAT(samples[0].prompt, AllOf(HasSubstr("Q: How much is 0 and 0?"), Not(HasSubstr("Q: How much is 1 and 3?")),
                                       HasSubstr("Q: How much is 5 and 15?")));
}

TEST_F(CliEval, PerplexitiesOfLongTextsTakeSeveralWindows) {
  const Outcome ran = sampled(
      {coded_, "--tasks", "wikitext", "--limit", "1", "--out", path("out"), "--json", "--set", "model.context=100"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json policies = json::parse(ran.out)["policies"];
  for (const json& policy : policies) {
    const json& task = policy["tasks"]["wikitext"];
    EXPECT_GT(task["word_perplexity,none"], task["byte_perplexity,none"]);
    EXPECT_EQ(task["word_perplexity_stderr,none"], "N/A");
    EXPECT_EQ(task["kv"]["bytes_f16"] > 0, true);
    EXPECT_TRUE(task["against_baseline"]["word_perplexity,none"]["flips_lost"].is_null());
  }
  EXPECT_GT(policies[1]["tasks"]["wikitext"]["compressed_before_scoring"], 0);
  EXPECT_GT(Store::to_read(folder_ / "out").samples(1)[0].prompt_tokens, 200u);
}

TEST_F(CliEval, TasksAreListed) {
  const Outcome list = sluice({"eval", "--list", "--json"});
  ASSERT_EQ(list.code, 0) << list.err;
  std::map<std::string, json> tasks;
  for (const json& task : json::parse(list.out)) tasks[task["task"]] = task;
  EXPECT_EQ(tasks["mmlu"]["subtasks"], 57);
  EXPECT_EQ(tasks["gsm8k_cot"]["protocol"], "lm-eval");
  EXPECT_TRUE(tasks["gsm8k_cot"]["unverified"].is_null());
  EXPECT_TRUE(tasks["gsm8k"]["unverified"].is_string());
  const Outcome parts = sluice({"eval", "--list", "--tasks", "mmlu,gsm8k_cot", "-o", "csv"});
  EXPECT_THAT(parts.out, AllOf(HasSubstr("mmlu,mmlu_stem\r\n"), HasSubstr("mmlu,mmlu_anatomy\r\n")));
  EXPECT_EQ(sluice({"eval", "--list", "--tasks", "mmul"}).code, 2);
}

TEST_F(CliEval, AnotherRunOfTheSamePolicyIsMentioned) {
  ASSERT_EQ(adds({"--limit", "2", "--out", path("out")}).code, 0);
  const Outcome other = adds({"--limit", "3", "--out", path("out"), "--resume", "--precision", "exact", "--json"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_THAT(other.err, HasSubstr("also holds 6 samples of these tasks and policies from other settings (precision)"));
  EXPECT_EQ(json::parse(other.out)["complete"], true);
  EXPECT_THAT(adds({"--limit", "3", "--out", path("new")}).err, Not(HasSubstr("other settings")));
}

// ---- what is refused

class CliEvalRefusal : public CliEval {
 protected:
  // The message of a command that must end with 2 and leave no samples.
  std::string refusal(std::vector<std::string> words, int code = 2) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--out", path("out")});
    const Outcome outcome = sluice(words);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(stored("out"), 0u);
    return outcome.err;
  }
  std::string sample_data() const { return std::string(SLUICE_SOURCE) + "/configs/tasks/sample"; }
};

TEST_F(CliEvalRefusal, MissingDataSaysHowToGetIt) {
  EXPECT_THAT(refusal({coded_, "--tasks", "gsm8k_cot", "--data", path("nowhere")}),
              AllOf(HasSubstr("gsm8k/test.jsonl"), HasSubstr("get it with: scripts/get_data.sh gsm8k")));
}

TEST_F(CliEvalRefusal, UnknownTasksAreSuggested) {
  EXPECT_THAT(refusal({coded_, "--tasks", "gsm8k_cott"}), HasSubstr("did you mean \"gsm8k_cot\"?"));
  EXPECT_THAT(refusal({coded_}), HasSubstr("sluice eval --list"));
  EXPECT_THAT(refusal({coded_, "--tasks", "adds,,"}), HasSubstr("empty name"));
}

// Before a model is looked for: there is none.
TEST_F(CliEvalRefusal, OptionsAreCheckedFirst) {
  const auto said = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--tasks", path("adds.toml"), "--data", folder_.path().string()});
    words.insert(words.begin(), coded_);
    std::filesystem::remove(folder_ / "tiny.gguf");
    return refusal(words);
  };
  EXPECT_THAT(said({"--precision", "fastt"}), HasSubstr("did you mean \"fast\"?"));
  EXPECT_THAT(said({"--batch", "0"}), HasSubstr("--batch 0 is out of range"));
  EXPECT_THAT(said({"--fail-if", "kld>0.1"}), HasSubstr("needs --fidelity"));
  EXPECT_THAT(said({"--passkey-depths", "0"}), HasSubstr("--passkey-depths is the passkey task's"));
  EXPECT_THAT(said({"--shots", "addds=0"}), HasSubstr("did you mean \"adds\"?"));
  EXPECT_THAT(said({"--shots", "1,x"}), HasSubstr("--shots takes a number"));
  EXPECT_THAT(said({"-t", "x"}), HasSubstr("--threads takes an integer"));
  EXPECT_THAT(said({"--set", "name=\"a\\u001bb\""}), HasSubstr("a policy cannot be called \"a\\x1Bb\""));
}

TEST_F(CliEvalRefusal, AContextTooSmallForTheExamplesSaysHowManyFit) {
  const std::string said =
      refusal({coded_, "--tasks", "gsm8k_cot", "--data", sample_data(), "--set", "model.context=1500"});
  EXPECT_THAT(said, AllOf(HasSubstr("gsm8k_cot: the shortest of its 12 prompts takes "), HasSubstr("of its 8 fit: "),
                          HasSubstr("--shots ")));
  // What it says does fit.
  const size_t at = said.find("--shots ") + 8;
  const std::string shots = said.substr(at, said.find(')', at) - at);
  const Outcome fits = sampled({coded_, "--tasks", "gsm8k_cot", "--shots", shots, "--limit", "1", "--out", path("fits"),
                                "--set", "model.context=1500"});
  EXPECT_EQ(fits.code, 0) << fits.err;
  // The first of these two fits with no number of examples, the second without any.
  write_task(0);
  std::ofstream(folder_ / "adds.jsonl") << fmt::format(
      "{{\"question\": \"{:0>3000}\", \"answer\": \"1\"}}\n{{\"question\": \"q\", \"answer\": \"1\"}}\n", 1);
  std::ofstream(folder_ / "adds.toml", std::ios::app) << "[shots]\ncount = 1\nsplit = \"test\"\n";
  EXPECT_THAT(
      refusal({coded_, "--tasks", path("adds.toml"), "--data", folder_.path().string(), "--set", "model.context=400"}),
      HasSubstr("show fewer examples (0 of its 1 fit: --shots 0)"));
  EXPECT_THAT(refusal({coded_, "--tasks", "gsm8k_cot", "--data", sample_data(), "--set", "model.context=256"}),
              HasSubstr("256 tokens are to be generated, but the context has 256"));
  const Outcome cut = sampled({coded_, "--tasks", "gsm8k_cot", "--truncate", "--limit", "1", "--out", path("cut"),
                               "--set", "model.context=1500"});
  EXPECT_EQ(cut.code, 0) << cut.err;
  EXPECT_THAT(cut.err, HasSubstr("1 of 1 prompts do not fit the context of 1500 and lose their beginning"));
}

TEST_F(CliEvalRefusal, ConfigurationsAgreeOnWhatIsAsked) {
  const std::string a = write("a.toml", "[eval]\nlimit = 3\n"), b = write("b.toml", "[eval]\nlimit = 4\n");
  EXPECT_THAT(refusal({a, b, "--tasks", "gsm8k_cot"}), HasSubstr("[eval] differs from that at "));
  const std::string gear = write("gear.toml", "[eval]\nprotocol = \"gear\"\n");
  EXPECT_THAT(refusal({gear, "--tasks", "hellaswag"}), HasSubstr("which has no task \"hellaswag\""));
  EXPECT_THAT(refusal({gear, "--tasks", "gsm8k", "--data", path("nowhere")}), HasSubstr("gear_gsm8k lacks "));
}

TEST_F(CliEvalRefusal, AStoreOfAnotherVersionIsLeftAlone) {
  ASSERT_EQ(adds({"--limit", "1", "--out", path("old")}).code, 0);
  {
    Database database(Store::file_in(folder_ / "old"), Database::Open::kWrite);
    database.execute("PRAGMA user_version = 99");
  }
  const Outcome refused = adds({"--limit", "1", "--out", path("old"), "--resume"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("99"));
  EXPECT_EQ(sluice({"diff", path("old"), path("old")}).code, 2);
}

TEST_F(CliEvalRefusal, OneWriterAtATime) {
  write_task(400);
  Program first = start({"--out", path("out"), "--batch", "1"});
  while (!first.ended() && stored("out") < 2) usleep(200);
  const Outcome second = adds({"--out", path("out"), "--resume"});
  EXPECT_EQ(second.code, 2);
  EXPECT_THAT(second.err, HasSubstr(std::to_string(first.id())));
  kill(first.id(), SIGINT);
  EXPECT_EQ(first.wait().code, 1);
}

// Half of all numbers kept exactly, with their places, take more than F16 rows do.
TEST_F(CliEvalRefusal, APolicyThatSavesNothingEndsTheRun) {
  const std::string fat =
      write("fat.toml", "[codec]\nname = \"gear\"\nbits = 4\ngroup = 32\nbuffer = 32\noutliers = 0.5\n");
  const Outcome ended = sluice({"eval", fat, "--tasks", path("adds.toml"), "--data", folder_.path().string(), "--limit",
                                "2", "--out", path("out"), "--json"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("policy fat"), HasSubstr("it compresses nothing"), HasSubstr("--resume")));
  // The baseline's samples are kept and printed.
  EXPECT_EQ(json::parse(ended.out)["policies"][0]["tasks"]["adds"]["samples"], 2);
  EXPECT_EQ(stored("out"), 2u);
}

}  // namespace
}  // namespace sluice
