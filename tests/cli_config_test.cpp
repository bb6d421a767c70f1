// What is wrong with a configuration, as every command that takes one tells it: all of it, before a model is opened.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli_program.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CliConfig, EveryCommandReportsAllMistakes) {
  const ScratchFolder folder;
  const std::string first = (folder / "first.toml").string(), second = (folder / "second.toml").string();
  write_file(first,
             "[model]\npath = \"no-model\"\n[cache]\nbudget = 64\ninterval = 0\n[evictor]\nname = \"h2\"\n"
             "[codec]\nname = \"gear\"\nbitz = 2\n[backend]\nthreads = 1025\n");
  write_file(second, "[codec]\nname = \"geer\"\n[sampler]\ntop_p = 2\n");
  const Outcome check = sluice({"config", "check", first, second});
  EXPECT_EQ(check.code, 2);
  EXPECT_THAT(check.err, AllOf(HasSubstr("interval takes"), HasSubstr("there is no evictor \"h2\""),
                               HasSubstr("has no \"bitz\""), HasSubstr("0 to 1024, not 1025"),
                               HasSubstr("there is no codec \"geer\""), HasSubstr("top_p takes")));
  const Outcome compare = sluice({"compare", first, second, "--text", "a text"});
  EXPECT_EQ(compare.code, 2);
  EXPECT_EQ(compare.err, check.err);
  const Outcome run = sluice({"run", first, "--text", "a text"});
  EXPECT_EQ(run.code, 2);
  EXPECT_EQ(run.err, sluice({"config", "check", first}).err);
}

TEST(CliConfig, ThreadsAreCheckedBeforeTheyStart) {
  for (const char* threads : {"1025", "100000", "4294967297", "-1"}) {
    const Outcome run = sluice({"run", "--text", "a", "--set", std::string("backend.threads=") + threads});
    EXPECT_EQ(run.code, 2);
    EXPECT_EQ(run.err, std::string("sluice: --set backend.threads: [backend] threads takes integer, 0 to 1024, not ") +
                           threads + "\n");
  }
}

}  // namespace
}  // namespace sluice
