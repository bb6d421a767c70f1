// Commands that run a model, on a tiny one: gates, threads, precision, what several configurations must share,
// and what is left after Ctrl-C.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "core/base/file.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kText = "the quick brown fox jumps over the lazy dog and sleeps";

class CliModel : public ::testing::Test {
 protected:
  CliModel() { write_model(model()); }

  static void write_model(const std::filesystem::path& file) {
    TinyModel tiny;
    tiny.head_dim = 32;  // the least that codecs take
    write_tiny_gguf(file, tiny);
  }

  std::filesystem::path model() const { return folder_ / "tiny.gguf"; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // A configuration of the tiny model.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << "[model]\npath = \"tiny.gguf\"\n" << text;
    return path(name);
  }
  // The command over a few tokens of the text.
  static Outcome on_text(std::vector<std::string> words) {
    words.insert(words.end(), {"--text", kText, "--tokens", "16"});
    return sluice(words);
  }
  static Outcome bench(std::vector<std::string> words) {
    words.insert(words.begin(), "bench");
    words.insert(words.end(), {"-p", "4", "-n", "2", "-r", "1", "--json", "--no-roof"});
    return sluice(words);
  }

  ScratchFolder folder_;
};

TEST_F(CliModel, PplIsJudgedEvenWhereItIsTheReference) {
  const std::string full = write("full.toml", "");
  const Outcome failed = on_text({"ppl", full, "--fail-if", "ppl>1"});
  EXPECT_EQ(failed.code, 3);
  EXPECT_THAT(failed.err, HasSubstr("full does not pass: ppl is "));
  EXPECT_EQ(on_text({"ppl", full, "--fail-if", "ppl>1e9"}).code, 0);
  // Of a compressed one its own row counts, not the reference beside it.
  const std::string coded = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 4\n");
  EXPECT_EQ(on_text({"ppl", coded, "--fail-if", "kld>1e-12"}).code, 3);
  EXPECT_EQ(on_text({"ppl", coded, "--fail-if", "kld<1e-12"}).code, 0);
}

TEST_F(CliModel, CompareJudgesAllButTheReference) {
  const std::string full = write("full.toml", "");
  const std::string coded = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 4\n");
  const Outcome failed = on_text({"compare", full, coded, "--no-speed", "--fail-if", "ppl>1"});
  EXPECT_EQ(failed.code, 3);
  EXPECT_THAT(failed.err, AllOf(HasSubstr("coded does not pass"), Not(HasSubstr("full does not pass"))));
  EXPECT_EQ(on_text({"compare", full, coded, "--no-speed", "--fail-if", "kld>1e9"}).code, 0);
  // What was not measured does not pass.
  EXPECT_EQ(on_text({"compare", full, coded, "--fail-if", "tok_s<0.001"}).code, 0);
}

TEST_F(CliModel, GatesThatNoRowCouldFailAreRefused) {
  const std::string full = write("full.toml", "");
  const Outcome alone = on_text({"compare", full, "--no-speed", "--fail-if", "ppl>1"});
  EXPECT_EQ(alone.code, 2);
  EXPECT_THAT(alone.err, HasSubstr("no row can fail --fail-if 'ppl>1'"));
  for (const char* gate : {"same_top>1", "ppl<1", "kld<0", "bytes>inf"}) {
    const Outcome refused = on_text({"ppl", full, "--fail-if", gate});
    EXPECT_EQ(refused.code, 2) << gate;
    EXPECT_THAT(refused.err, HasSubstr("no row can fail it")) << gate;
  }
  for (const char* gate : {"ppl", "ppl>", "ppl>nan", "ppl>1x", ">1", "pl>1"})
    EXPECT_EQ(on_text({"ppl", full, "--fail-if", gate}).code, 2) << gate;
}

TEST_F(CliModel, ThreadsOfBenchAreTheBackends) {
  const std::string one = write("one.toml", "[backend]\nname = \"cpu\"\nthreads = 1\n");
  const std::string two = write("two.toml", "[backend]\nname = \"cpu\"\nthreads = 2\n");
  EXPECT_EQ(bench({one, two}).code, 2);  // one pool serves all
  const Outcome both = bench({one, two, "-t", "1,3"});
  ASSERT_EQ(both.code, 0) << both.err;
  std::vector<int> threads;
  const auto json = nlohmann::json::parse(both.out);
  for (const auto& row : json["rows"]) threads.push_back(row["threads"]);
  EXPECT_THAT(threads, ::testing::ElementsAre(1, 1, 1, 1, 3, 3, 3, 3));
}

TEST_F(CliModel, PrecisionComesFromTheOptionOrTheBackend) {
  const std::string exact = write("exact.toml", "[backend]\nname = \"cpu\"\nthreads = 1\nprecision = \"exact\"\n");
  const std::string plain = write("plain.toml", "[backend]\nname = \"cpu\"\nthreads = 1\n");
  const auto of_bench = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["rows"][0]["precision"].get<std::string>();
  };
  EXPECT_EQ(of_bench(bench({plain})), "fast");
  EXPECT_EQ(of_bench(bench({exact})), "exact");
  EXPECT_EQ(of_bench(bench({exact, "--precision", "fast"})), "fast");
  const auto of_compare = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["backend"]["precision"].get<std::string>();
  };
  EXPECT_EQ(of_compare(on_text({"compare", plain, "--no-speed", "--json"})), "exact");
  EXPECT_EQ(of_compare(on_text({"compare", exact, "--no-speed", "--json", "--precision", "fast"})), "fast");
}

TEST_F(CliModel, OneRunHasOneModelAndOneBackend) {
  const std::string plain = write("a.toml", "");
  const std::string other = write("b.toml", "[backend]\nname = \"cpu\"\nisa = \"portable\"\n");
  const Outcome refused = on_text({"compare", plain, other, "--no-speed"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("b.toml:5:7: backend.isa is portable, but left at its default at "),
                                 HasSubstr("a.toml: the configurations of one run share model and backend")));
  // A default that is written out is no difference.
  const std::string same = write("c.toml", "[backend]\nname = \"cpu\"\nisa = \"auto\"\nthreads = 0\n");
  EXPECT_EQ(on_text({"compare", plain, same, "--no-speed"}).code, 0);
  // Equal words in two folders are two files.
  std::filesystem::create_directory(folder_ / "sub");
  write_model(folder_ / "sub" / "tiny.gguf");
  const Outcome models = on_text({"compare", plain, write("sub/a.toml", ""), "--no-speed"});
  EXPECT_EQ(models.code, 2);
  EXPECT_THAT(models.err, HasSubstr("sub/a.toml:2:8: model.path is \"tiny.gguf\", but \"tiny.gguf\" at "));
}

TEST_F(CliModel, TheModelOptionTakesAnyFileName) {
  const std::string odd = path("a \"quoted\" back\\slash # {x}.gguf");
  std::filesystem::copy_file(model(), odd);
  const Outcome outcome = on_text({"ppl", "--model", odd, "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(CliModel, TheBudgetThatAllShareIsTold) {
  const auto budget = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["budget"].get<std::string>();
  };
  const std::string full = write("full.toml", "");
  const std::string evictor = "[evictor]\nname = \"recent\"\nsinks = 1\n";
  const std::string half = write("half.toml", "[cache]\nbudget = \"50%\"\ninterval = 1\n" + evictor);
  const std::string quarter = write("quarter.toml", "[cache]\nbudget = \"25%\"\ninterval = 1\n" + evictor);
  EXPECT_EQ(budget(on_text({"compare", full, half, "--no-speed", "--json"})), "50% = 8 tokens");
  EXPECT_EQ(budget(on_text({"compare", full, half, quarter, "--no-speed", "--json"})), "");
  EXPECT_EQ(budget(on_text({"compare", full, "--no-speed", "--json"})), "");
}

// The program waits for its text when the signal comes; it does not go on waiting, and an older page stays.
TEST_F(CliModel, ASignalEndsTheWaitForAText) {
  const std::string full = write("full.toml", ""), pipe = path("pipe"), page = path("page.html");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::ofstream(page) << "an older page";
  for (const int signal : {SIGINT, SIGTERM}) {
    Program program({"compare", full, "--file", pipe, "--json", "--html", page});
    int to = -1;
    while ((to = open(pipe.c_str(), O_WRONLY | O_NONBLOCK)) < 0 && !program.ended()) usleep(1000);
    ASSERT_GE(to, 0) << program.wait().err;
    kill(program.id(), signal);
    const Outcome outcome = program.wait();
    close(to);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("pipe: interrupted while waiting for it"));
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(read_file(page), "an older page");
  }
}

TEST_F(CliModel, OptionsThatWouldDoNothingAreRefused) {
  const std::string full = write("full.toml", "");
  const Outcome system = sluice({"run", full, "--text", "a", "--system", "x"});
  EXPECT_EQ(system.code, 2);
  EXPECT_THAT(system.err, HasSubstr("--system belongs to --chat"));
  const Outcome gate = on_text({"compare", full, full, "--no-speed", "--fail-if", "tok_s<1"});
  EXPECT_EQ(gate.code, 2);
  EXPECT_THAT(gate.err, HasSubstr("--no-speed measures no tok_s"));
  EXPECT_EQ(on_text({"ppl", full, "--fail-if", "tok_s<1"}).code, 2);
}

TEST_F(CliModel, RowsOfOneNameAreNumbered) {
  const std::string full = write("full.toml", "");
  const auto json = nlohmann::json::parse(on_text({"compare", full, full, "--no-speed", "--json"}).out);
  EXPECT_EQ(json["policies"][0]["policy"], "full");
  EXPECT_EQ(json["policies"][1]["policy"], "full#2");
}

TEST_F(CliModel, WhatAPolicyIsRefusedForNamesThePolicy) {
  const std::string small = write("small.toml", "[cache]\nbudget = 20\n[evictor]\nname = \"sieve\"\n");
  EXPECT_THAT(on_text({"compare", small, "--no-speed"}).err, HasSubstr("policy small: evictor sieve, reset: "));
  const std::string odd = write("odd.toml", "[codec]\nname = \"group\"\ngroup = 256\nresidual = 64\n");
  const Outcome refused = on_text({"compare", odd, "--no-speed"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("odd.toml:4:"), HasSubstr("policy odd: ")));
}

TEST_F(CliModel, WordsAreNamedAsTheyAreTyped) {
  const std::string full = write("full.toml", "");
  EXPECT_THAT(sluice({"bench", full, "--batch", "x"}).err, HasSubstr("bench: --batch \"x\": write numbers"));
  EXPECT_THAT(sluice({"bench", full, "-p", "x"}).err, HasSubstr("bench: -p \"x\": write numbers"));
  const Outcome stop = sluice({"run", full, "--text", "a", "--stop", ""});
  EXPECT_EQ(stop.code, 2);
  EXPECT_THAT(stop.err, HasSubstr("--stop takes a text"));
  EXPECT_EQ(on_text({"ppl", full, "-o", "text"}).code, 0);
}

TEST_F(CliModel, APageReplacesNothingThatIsRead) {
  const std::string full = write("full.toml", ""), text = path("text.txt");
  std::ofstream(text) << kText;
  std::filesystem::create_hard_link(text, path("link.txt"));
  for (const std::string& page : {text, path("link.txt"), full, model().string(), std::string()}) {
    const Outcome refused = sluice({"compare", full, "--file", text, "--no-speed", "--html", page});
    EXPECT_EQ(refused.code, 2) << page;
    EXPECT_THAT(refused.err, HasSubstr("--html")) << page;
  }
  EXPECT_EQ(read_file(text), kText);
  const std::string page = path("out/deep/page.html");
  EXPECT_EQ(sluice({"compare", full, "--file", text, "--no-speed", "--html", page}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(page));
}

TEST_F(CliModel, WhatStreamsOrEndsInAFullDiskFails) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::string full = write("full.toml", "");
  for (const char* how :
       {"run {} --text fox -n 4", "run {} --text fox -n 4 --json", "ppl {} --text 'the fox' --json"}) {
    const std::string command =
        fmt::format("{} {} > /dev/full 2> {}", SLUICE_PROGRAM, fmt::format(fmt::runtime(how), full), path("err"));
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << command;
    EXPECT_THAT(read_file(path("err")), HasSubstr("cannot write to stdout: No space left on device")) << command;
  }
}

TEST_F(CliModel, APolicyThatNeverActedIsNotPraised) {
  const std::string coded = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 64\n");
  const Outcome table = on_text({"ppl", coded});
  EXPECT_THAT(table.out, AllOf(HasSubstr("| never acted |"), HasSubstr("\ncoded never acted on a scored token")));
  EXPECT_THAT(table.out, Not(HasSubstr("worth")));
}

TEST_F(CliModel, BenchRowsSpeakOfThemselves) {
  const std::string full = write("full.toml", "");
  const Outcome outcome = sluice({"bench", full, "-p", "4", "-n", "2", "-r", "1", "--json"});
  const auto json = nlohmann::json::parse(outcome.out);
  // The buffer that a roof is measured on would be of at least 64 MiB, mostly 256.
  for (const auto& row : json["rows"])
    EXPECT_TRUE(row["rss_peak"].is_null() || row["rss_peak"] < 300u << 20) << row["rss_peak"];
  const Outcome backwards = sluice({"bench", full, "-p", "5-1"});
  EXPECT_EQ(backwards.code, 2);
  EXPECT_THAT(backwards.err, HasSubstr("-p \"5-1\""));
}

// The first token comes of the prompt's logits: a speed is that of the steps after it, and of none there is none.
TEST_F(CliModel, DecodeSpeedIsThatOfDecodedTokens) {
  const std::string full = write("full.toml", "");
  const auto one =
      nlohmann::json::parse(sluice({"run", full, "--text", kText, "-n", "1", "--ignore-end", "--json"}).out);
  EXPECT_EQ(one["tokens"].size(), 1u);
  EXPECT_TRUE(one["tok_s"].is_null());
  const auto three =
      nlohmann::json::parse(sluice({"run", full, "--text", kText, "-n", "3", "--ignore-end", "--json"}).out);
  EXPECT_GT(three["tok_s"], 0);
}

// A chunked policy codes its prompt chunk by chunk, also where it is measured.
TEST_F(CliModel, BenchFeedsAPromptAsThePolicyAsks) {
  const std::string codec = "[codec]\nname = \"group\"\nbits = 4\ngroup = 32\nresidual = 32\n[cache]\nprefill = ";
  const std::string whole = write("whole.toml", codec + "\"exact\"\n");
  const std::string chunks = write("chunks.toml", codec + "\"chunked\"\nchunk = 16\n");
  const auto stored = [](const std::string& config) {
    const Outcome bench = sluice({"bench", config, "-p", "200", "-n", "0", "-r", "1", "--json", "--no-roof"});
    return nlohmann::json::parse(bench.out)["rows"][0]["kv"]["by_kind"];
  };
  // Whole, a prompt is coded in blocks as long as it allows; in chunks of 16 rows, 32 rows at a time.
  EXPECT_NE(stored(whole)["index"], stored(chunks)["index"]);
}

// A model's whole context may be scored where no speed is measured.
TEST_F(CliModel, ComparingTakesRoomForItsTextAlone) {
  const std::string full = write("full.toml", "");
  std::string text;
  for (int i = 0; i < 200; i++) text += kText + " ";
  const Outcome ppl = sluice({"ppl", full, "--text", text, "--tokens", "512"});
  EXPECT_EQ(ppl.code, 0) << ppl.err;
  EXPECT_THAT(ppl.err, Not(HasSubstr("context")));
}

// A text longer than the context, by every command; what cannot be says what would do.
TEST_F(CliModel, RollingPositionsGoBeyondTheContext) {
  TinyModel tiny;
  tiny.context = 48;
  write_tiny_gguf(model(), tiny);
  const std::string keep = "context = 48\n[evictor]\nname = \"recent\"\n[cache]\nbudget = 24\ninterval = 4\n";
  const std::string absolute = write("absolute.toml", keep);
  const std::string rolling = write("rolling.toml", keep + "positions = \"rolling\"\n");
  const std::vector<std::string> words = {"--text", "the quick brown fox", "-n", "100", "--ignore-end", "--json"};
  const auto run = [&](const std::string& config) {
    std::vector<std::string> all = {"run", config};
    all.insert(all.end(), words.begin(), words.end());
    return sluice(all);
  };
  const Outcome refused = run(absolute), streamed = run(rolling);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("exceeds the context of 48"));
  ASSERT_EQ(streamed.code, 0) << streamed.err;
  const auto json = nlohmann::json::parse(streamed.out);
  EXPECT_EQ(json["tokens"].size(), 100u);
  EXPECT_EQ(json["positions"], "rolling");
  EXPECT_GT(json["kv"]["by_kind"]["rotated_keys"], 0u);
  std::string text;
  for (int i = 0; i < 10; i++) text += kText + " ";
  const Outcome whole = sluice({"run", rolling, "--text", text, "-n", "4"});
  EXPECT_EQ(whole.code, 2);
  EXPECT_THAT(whole.err, HasSubstr("set [cache] prefill = \"chunked\" and chunk to at most 24"));
  const Outcome chunked = sluice({"run", rolling, "--text", text, "-n", "4", "--ignore-end", "--set",
                                  "cache.prefill=chunked", "--set", "cache.chunk=24"});
  EXPECT_EQ(chunked.code, 0) << chunked.err;
  EXPECT_THAT(chunked.err, HasSubstr("rolling positions"));
  const Outcome ppl = sluice({"ppl", rolling, "--text", text, "--tokens", "120", "--json"});
  ASSERT_EQ(ppl.code, 0) << ppl.err;
  EXPECT_THAT(ppl.err,
              HasSubstr("120 tokens are more than the 48 this model was trained on: a full cache is no measure"));
  const auto row = nlohmann::json::parse(ppl.out);
  EXPECT_EQ(row["positions"], "rolling");
  EXPECT_TRUE(row["kld_mean"].is_null());
  EXPECT_GT(row["ppl"], 1);
  EXPECT_THAT(row["settings"].get<std::string>(), HasSubstr("rolling positions"));
  const Outcome compare =
      sluice({"compare", absolute, rolling, "--text", text, "--tokens", "40", "--no-speed", "--json"});
  ASSERT_EQ(compare.code, 0) << compare.err;
  const auto policies = nlohmann::json::parse(compare.out)["policies"];
  EXPECT_EQ(policies[0]["positions"], "absolute");
  EXPECT_EQ(policies[2]["positions"], "rolling");
  const Outcome measured = bench({rolling, "-d", "100"});
  ASSERT_EQ(measured.code, 2) << "a depth is a prompt as a whole";
  const auto rows = nlohmann::json::parse(bench({rolling}).out)["rows"];
  EXPECT_EQ(rows[0]["positions"], "rolling");
}

}  // namespace
}  // namespace sluice
