// `sluice plugin check` as people and programs use it: what it prints, what it accepts, and that a printed line runs a
// failure again.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "core/base/error.h"
#include "core/check/report.h"

namespace sluice::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kLiars = SLUICE_LIARS;

TEST(CheckProgram, PrintsALinePerCheckAndCountsAtTheEnd) {
  const Outcome outcome = sluice({"plugin", "check", kLiars + "/good.sluice.so", "--include", "^library"});
  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("good.sluice.so\n  library-file           pass\n"),
                                 ::testing::ContainsRegex("\n14 checks: 14 pass in [0-9.]+ s\n$")));
  EXPECT_EQ(outcome.err, "");
}

TEST(CheckProgram, PrintsTheLineThatRunsAFailureAgain) {
  const std::string file = kLiars + "/victim_twice.sluice.so";
  const Outcome outcome = sluice({"plugin", "check", file, "--only-failed", "--seed", "9", "--include", "victims"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("sluice.evictor/1 liar\n  evictor-victims        FAIL    slot "),
                    HasSubstr("\n      sluice plugin try evictor-victims " + file + " --module liar --seed 9\n"),
                    Not(HasSubstr("pass\n"))));
  const Outcome again = sluice({"plugin", "try", "evictor-victims", file, "--module", "liar", "--seed", "9"});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.out, HasSubstr("evictor-victims FAIL slot "));
}

TEST(CheckProgram, SkipsWhatRestsOnWhatFailed) {
  const Outcome outcome = sluice({"plugin", "check", kLiars + "/wrong_layout.sluice.so"});
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("library-layout         FAIL    module \"liar\": was built against other headers"),
                    HasSubstr("skip    library-layout failed\n")));
}

TEST(CheckProgram, NamesTheSignalOfACrash) {
  const Outcome outcome = sluice({"plugin", "check", kLiars + "/constructor_crash.sluice.so"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("library-load           CRASH   Aborted (signal 6)\n"));
}

TEST(CheckProgram, FindsPluginsByNameAndSetsParameters) {
  const Outcome outcome =
      sluice({"plugin", "check", "h2o", "sieve", "--set", "recent=20", "--include", "evictor-fork"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("2 checks: 2 pass"));
  // By a module's name in a file of another.
  EXPECT_EQ(sluice({"plugin", "check", "liar", "--path", kLiars, "--include", "library-file"}).code, 0);
}

TEST(CheckProgram, RepeatsWithNewSeeds) {
  const Outcome outcome = sluice({"plugin", "check", kLiars + "/good.sluice.so", "--fuzz", "2", "--include",
                                  "evictor-fork", "--json", "--in-process"});
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_GT(json["checks"][0]["seed"], 1);
  EXPECT_EQ(json["counts"]["pass"], 1);
}

TEST(CheckProgram, RefusesWhatItCannotUse) {
  const auto refused = [](const std::vector<std::string>& words, const std::string& message) {
    std::vector<std::string> all = {"plugin", "check"};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = sluice(all);
    EXPECT_EQ(outcome.code, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  const std::string good = kLiars + "/good.sluice.so";
  refused({}, "sluice plugin check needs FILEs");
  refused({"h2p"}, "there is neither a file nor a plugin \"h2p\" (did you mean \"h2o\"?)");
  refused({"no/such.so"}, "there is no file no/such.so");
  refused({good, "--include", "evictor-forc"}, "matches no check (did you mean \"evictor-fork\"?)");
  refused({good, "--include", "("}, "is no regular expression");
  refused({"h2o", "--set", "recnet=1", "--include", "library-file"}, "no module here has a parameter \"recnet\"");
  refused({"h2o", "--set", "decay=2", "--include", "library-file"}, "decay takes number, 0.0 to 1.0, not 2");
  refused({"h2o", "--set", "recent"}, "is not of the form K=V");
  refused({good, "--set", "nosuch=3"}, "no module here has a parameter \"nosuch\"; there are: none");
  refused({good, "--include", "codec-plan"}, "matches no check of what these libraries offer");
  refused({kLiars}, "is no regular file");
  refused({good, "--seed", "x"}, "--seed takes an integer");
}

// Whoever mistypes a setting is told at once, not after minutes of checks whose rows are lost.
TEST(CheckProgram, RefusesSettingsBeforeItChecks) {
  const std::vector<std::filesystem::path> libraries = {kLiars + "/good.sluice.so", SLUICE_PLUGINS "/h2o.sluice.so"};
  for (const char* setting : {"recnet=1", "decay=2"}) {
    check::RunOptions options;
    options.settings = {setting}, options.include = "library-file", options.in_process = true;
    size_t checked = 0;
    EXPECT_THROW(check::check_libraries(libraries, options, [&](const check::Row&) { checked++; }), Error) << setting;
    EXPECT_EQ(checked, 0u) << setting;
  }
}

// With a limit of eleven days, nothing but the signal ends the check.
TEST(CheckProgram, EndsTheRunningCheckWhenItIsInterrupted) {
  Program program({"plugin", "check", kLiars + "/hang.sluice.so", "--include", "library-file|evictor-memory", "--limit",
                   "1000000"});
  const auto hanging = [&] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream command(entry.path() / "cmdline"), status(entry.path() / "stat");
      const std::string words((std::istreambuf_iterator<char>(command)), {}),
          fields((std::istreambuf_iterator<char>(status)), {});
      // pid (name) state parent ...; its words are there once it has become the program.
      const size_t name = fields.rfind(')');
      if (name == std::string::npos || words.find("evictor-memory") == std::string::npos) continue;
      if (fields.substr(name + 4).starts_with(std::to_string(program.id()) + " ")) return true;
    }
    return false;
  };
  while (!hanging() && !program.ended()) usleep(1000);
  kill(program.id(), SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("interrupted: the result is partial"));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("library-file           pass"), HasSubstr("1 checks: 1 pass")));
}

TEST(CheckProgram, PrintsNothingRawOfWhatAPluginSays) {
  const check::Row row{{"evictor-reset", "x.sluice.so", "sluice.evictor/1", "x", {}, 1},
                       {check::Verdict::kFail, "says \033[2J\nand more", "", 0}};
  EXPECT_THAT(check::report_text({&row, 1}, 1, false), HasSubstr("FAIL    says \\x1B[2J\\x0Aand more\n"));
}

// The page's table of checks is this program's list.
TEST(CheckProgram, IsDescribedAsItIs) {
  const std::string page = read_file(SLUICE_SOURCE "/docs/plugin-check.md");
  const size_t from = page.find("### Of "), to = page.find("## Verdicts");
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
  EXPECT_EQ(page.substr(from, to - from), check::list_markdown())
      << "run `sluice plugin check --list --markdown` and put what it prints into the page";
  EXPECT_EQ(sluice({"plugin", "check", "--list", "--markdown"}).out, check::list_markdown());
  EXPECT_THAT(sluice({"plugin", "check", "--list"}).out, HasSubstr("  evictor-moved "));
}

}  // namespace
}  // namespace sluice::testing
