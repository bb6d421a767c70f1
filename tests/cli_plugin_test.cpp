// Plugins that harm, as a user meets them: a list that goes on, a run that ends before it starts, and one that ends
// with what it has. And the page about all policies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kDeadly = "SLUICE_PLUGIN_PATH=" SLUICE_DEADLY_PLUGINS,
                  kHung = "SLUICE_PLUGIN_PATH=" SLUICE_HUNG_PLUGINS;

TEST(CliPlugin, ListGoesOnPastDeadlyLibraries) {
  const Outcome list = sluice({"plugin", "list"}, {kDeadly});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out,
              AllOf(HasSubstr("recent  "), HasSubstr("unavailable:\n"),
                    HasSubstr("crash_in_entry.sluice.so: crashes when it is loaded (Aborted (signal 6))"),
                    HasSubstr("exit_in_constructor.sluice.so: ends the program when it is loaded"),
                    HasSubstr("hang_in_entry.sluice.so: does not come back within 2 s"),
                    HasSubstr("crash_at_exit.sluice.so: crashes when the program ends (Aborted (signal 6))")));
}

class CliHarm : public ::testing::Test {
 protected:
  CliHarm() {
    TinyModel tiny;
    tiny.head_dim = 32;
    write_tiny_gguf(folder_ / "tiny.gguf", tiny);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << "[model]\npath = \"tiny.gguf\"\n" << text;
    return (folder_ / name).string();
  }
  ScratchFolder folder_;
};

TEST_F(CliHarm, ARunThatNamesADeadlyOneDoesNotStart) {
  const std::string page = (folder_ / "page.html").string();
  const Outcome run =
      sluice({"compare", write("dead.toml", "[cache]\nbudget = 8\n[evictor]\nname = \"crash_in_entry\"\n"), "--text",
              "one two three four", "--html", page},
             {kDeadly});
  EXPECT_EQ(run.code, 2);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, AllOf(HasSubstr("dead.toml:"), HasSubstr("evictor \"crash_in_entry\" is unavailable: "),
                             HasSubstr("crash_in_entry.sluice.so crashes when it is loaded")));
  EXPECT_FALSE(std::filesystem::exists(page));
}

TEST_F(CliHarm, AHungVerbEndsTheRunWithWhatIsFinished) {
  const std::string hung =
      write("hung.toml", "[cache]\nbudget = 8\ninterval = 4\n[evictor]\nname = \"hang_in_select\"\n");
  const Outcome run = sluice({"compare", hung, "--no-speed", "--text", "one two three four five six seven eight nine",
                              "--tokens", "24", "--set", "plugins.limit=1"},
                             {kHung});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("hang_in_select.sluice.so), select: has not returned for 1 s"),
                             HasSubstr("the result is partial")));
  EXPECT_THAT(run.out, AllOf(HasSubstr("| full "), HasSubstr("| hung "), HasSubstr("of 23 tokens were scored")));
  EXPECT_THAT(run.out, Not(HasSubstr(" 0 of 23 tokens")));
}

// However a verb takes the program down, it is named with its file, and finished results are kept.
TEST_F(CliHarm, AFallenVerbEndsTheRunWithWhatIsFinished) {
  struct Fall {
    const char *how, *says;
    bool by_signal;
  };
  for (const Fall& fall : {Fall{"crash", "falls.sluice.so), select: crashed: Segmentation fault", true},
                           {"abort", "falls.sluice.so), select: crashed: Aborted", true},
                           {"deep", "falls.sluice.so), select: crashed: Segmentation fault", true},
                           {"exit", "falls.sluice.so), select: ended the program with exit()", false},
                           {"past", "evictor falls, select: wrote past its victims of ", false},
                           {"fail", "evictor falls, select: lost its way", false}}) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (fall.by_signal) continue;  // the sanitizer's
#endif
    const std::string falls =
        write("falls.toml", "[cache]\nbudget = 8\ninterval = 4\n[evictor]\nname = \"falls\"\nhow = \"" +
                                std::string(fall.how) + "\"\n");
    const Outcome run = sluice(
        {"compare", falls, "--no-speed", "--text", "one two three four five six seven eight nine", "--tokens", "24"},
        {kHung});
    EXPECT_EQ(run.code, 1) << fall.how;
    EXPECT_THAT(run.err, AllOf(HasSubstr(fall.says), HasSubstr("the result is partial")));
    EXPECT_THAT(run.out, AllOf(HasSubstr("| full "), HasSubstr("| falls "), HasSubstr("of 23 tokens were scored")));
  }
}

TEST_F(CliHarm, WhatAPluginPrintsStaysOutOfTheResult) {
  const std::string falls = write("falls.toml", "[cache]\nbudget = 32\n[evictor]\nname = \"falls\"\nhow = \"talk\"\n");
  const Outcome run = sluice({"run", falls, "--text", "one", "-n", "2", "--json"}, {kHung});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(nlohmann::json::accept(run.out)) << run.out;
  EXPECT_THAT(run.err, HasSubstr("hello from a plugin"));
}

TEST_F(CliHarm, TracesAreMadeInAChild) {
  const std::string library = SLUICE_HUNG_PLUGINS "/falls.sluice.so", out = (folder_ / "falls.trace.json").string();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const Outcome crash = sluice({"plugin", "trace", library, "--out", out}, {});
  EXPECT_EQ(crash.code, 1);
  EXPECT_THAT(crash.err, HasSubstr("plugin trace: the plugin crashed: Segmentation fault (signal 11)"));
#endif
  const Outcome left = sluice({"plugin", "trace", library, "--out", out, "--set", "how=exit"}, {});
  EXPECT_EQ(left.code, 1);
  EXPECT_THAT(left.err, HasSubstr("plugin trace: the plugin ended the process"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(CliHarm, AHungVerbLeavesBenchTheRowsBefore) {
  const std::string hung =
      write("hung.toml", "[cache]\nbudget = 8\ninterval = 4\n[evictor]\nname = \"hang_in_select\"\n");
  const Outcome run = sluice(
      {"bench", write("full.toml", ""), hung, "-p", "0", "-n", "24", "-r", "1", "--set", "plugins.limit=1", "-t", "1"},
      {kHung});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, HasSubstr("hang_in_select.sluice.so), select: has not returned"));
  EXPECT_THAT(run.out, AllOf(HasSubstr("| full "), Not(HasSubstr("| hung "))));
}

// docs/policies/README.md is generated, from a build with the plugins that ship and no others.
TEST(CliPlugin, ThePageOfPoliciesIsCurrent) {
  const Outcome page = sluice({"plugin", "describe", "--markdown"}, {"SLUICE_PLUGIN_PATH="});
  EXPECT_EQ(page.code, 0);
  if (page.out.find("| [`python`]") == page.out.npos)
    GTEST_SKIP() << "python evictor: not built (no Python headers), and the page has it";
  EXPECT_EQ(page.out, read_file(std::filesystem::path(SLUICE_SOURCE) / "docs/policies/README.md"))
      << "run: sluice plugin describe --markdown > docs/policies/README.md";
}

}  // namespace
}  // namespace sluice
