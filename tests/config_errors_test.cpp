// What is wrong with a file, word for word: the place, what was found, what would be right. All of it at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/config_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Case {
  const char* toml;
  const char* message;
};

const Case kCases[] = {
    // Modules' keys.
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nrecents = 3\n",
     "x.toml:5:1: [evictor] has no \"recents\"; h2o takes: recent, sinks, decay (did you mean \"recent\"?)"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nsinks = \"many\"\n",
     "x.toml:5:9: [evictor] sinks takes integer, 0 to 64, not the string \"many\""},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nsinks = 65\n",
     "x.toml:5:9: [evictor] sinks takes integer, 0 to 64, not 65"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nsinks = 1.0\n",
     "x.toml:5:9: [evictor] sinks takes integer, 0 to 64, not 1.0"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\ndecay = nan\n",
     "x.toml:5:9: [evictor] decay takes number, 0.0 to 1.0, not nan"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nrecent = \"101%\"\n",
     "x.toml:5:10: [evictor] recent takes tokens, 0 to 1048576, or a share such as \"50%\", not the string \"101%\""},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nrecent = -1\n",
     "x.toml:5:10: [evictor] recent takes tokens, 0 to 1048576, or a share such as \"50%\", not -1"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"h2o\"\nrecent = [1]\n",
     "x.toml:5:1: [evictor] recent takes a single value, not an array"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"recent\"\nsinks = 1\n",
     "x.toml:5:1: [evictor] has no \"sinks\"; recent takes no parameters"},
    {"[cache]\nbudget = 64\n[evictor]\nname = \"keyed\"\n",
     "x.toml:4:8: [evictor] lacks \"seed\" (integer, 0 to 9), which keyed requires"},
    {"[codec]\nname = \"gear\"\nbits = 5\n", "x.toml:3:8: [codec] bits takes one of 2, 3, 4, 8, not 5"},
    {"[codec]\nname = \"gear\"\nbackbone = \"groups\"\n",
     "x.toml:3:12: [codec] backbone takes one of group, uniform, not the string \"groups\" (did you mean \"group\"?)"},
    {"[codec]\nname = \"gear\"\nfast = 1\n", "x.toml:3:8: [codec] fast takes true or false, not 1"},
    {"[codec]\nname = \"gear\"\nnote = false\n", "x.toml:3:8: [codec] note takes text, not false"},
    {"[codec]\nname = \"gear\"\nnote = \"a\\u0000b\"\n",
     "x.toml:3:8: [codec] note takes text, not the string \"a\\x00b\""},
    {"[codec]\nname = \"gear\"\n[codec.value]\nrank = 65\n",
     "x.toml:4:8: [codec.value] rank takes integer, 0 to 64, not 65"},
    // Modules' names.
    {"[codec]\nname = \"geer\"\n",
     "x.toml:2:8: there is no codec \"geer\" (did you mean \"gear\"?); there are gear, group"},
    {"[backend]\nname = \"gpu\"\n",
     "x.toml:2:8: there is no backend \"gpu\" (did you mean \"cpu\"?); there are cpu, cuda"},
    {"[codec]\nbits = 2\n", "x.toml:1:1: [codec] names no codec; add name = \"...\", or \"none\" to switch it off"},
    {"[evictor]\nname = 3\n", "x.toml:2:8: [evictor] name takes a string, not 3"},
    {"[cache]\ninterval = 4\n[evictor]\nname = \"h2o\"\n",
     "x.toml:4:8: [evictor] h2o needs to know how much to keep: set cache.budget, such as \"20%\""},
    {"evictor = \"h2o\"\n", "x.toml:1:11: [evictor] is a table, not the string \"h2o\""},
    // Keys of the schema.
    {"[cache]\nintervall = 3\n",
     "x.toml:2:1: [cache] has no \"intervall\"; it takes: budget, interval, prefill, chunk, granularity, compact, "
     "positions, prefix (did you mean \"interval\"?)"},
    {"[cache]\ninterval = 0\n", "x.toml:2:12: [cache] interval takes an integer from 1 to 1048576, not 0"},
    {"[cache]\ninterval = 1.5\n", "x.toml:2:12: [cache] interval takes an integer from 1 to 1048576, not 1.5"},
    {"[cache]\ninterval = true\n", "x.toml:2:12: [cache] interval takes an integer from 1 to 1048576, not true"},
    {"[cache]\ncompact = 0\n", "x.toml:2:11: [cache] compact takes a number above 0, at most 1, not 0"},
    {"[cache]\ncompact = 1.01\n", "x.toml:2:11: [cache] compact takes a number above 0, at most 1, not 1.01"},
    {"[cache]\ncompact = nan\n", "x.toml:2:11: [cache] compact takes a number above 0, at most 1, not nan"},
    {"[cache]\nprefill = \"chunk\"\n",
     "x.toml:2:11: [cache] prefill takes \"exact\" or \"chunked\", not the string \"chunk\" (did you mean "
     "\"chunked\"?)"},
    {"[cache]\npositions = \"rolling\"\nprefix = \"compressed\"\n",
     "x.toml:3:10: [cache] prefix \"compressed\" is not in this version; there is exact"},
    {"[cache]\npositions = \"roling\"\n",
     "x.toml:2:13: [cache] positions takes \"absolute\" or \"rolling\", not the string \"roling\" (did you mean "
     "\"rolling\"?)"},
    {"[cache]\nbudget = 0.2\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not 0.2 (did you mean "
     "\"20%\"?)"},
    {"[cache]\nbudget = \"20 percent\"\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not the string \"20 "
     "percent\""},
    {"[cache]\nbudget = 0\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not 0"},
    {"[cache]\nbudget = \"0%\"\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not the string \"0%\""},
    {"[model]\npath = 7\n", "x.toml:2:8: [model] path takes a string, not 7"},
    {"[plugins]\npath = [\"a\", 1]\n", "x.toml:2:8: [plugins] path takes a path or an array of paths, not an array"},
    {"[eval]\ntasks = { a = 1 }\n", "x.toml:2:9: [eval] tasks takes an array of strings, not a table"},
    {"[sampler]\nseed = -1\n", "x.toml:2:8: [sampler] seed takes an integer, at least 0, not -1"},
    // Tables.
    {"[evictr]\nname = \"h2o\"\n",
     "x.toml:1:2: there is no table [evictr]; tables are: model, backend, plugins, cache, evictor, codec, layers, "
     "sampler, eval, sweep (did you mean \"evictor\"?)"},
    {"budget = 3\n",
     "x.toml:1:1: there is no key \"budget\" outside of a table; there are: name, extends (did you mean "
     "\"cache.budget\"?)"},
    {"cache = 3\n", "x.toml:1:9: [cache] is a table, not 3"},
    {"name = 3\n", "x.toml:1:8: name takes a string, not 3"},
    {"name = \"\"\n", "x.toml:1:8: name takes a string, not the string \"\""},
    // A budget that is wrong is not one that lacks, and an evictor that is not there needs none.
    {"[cache]\nbudget = \"110%\"\n[evictor]\nname = \"h2o\"\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not the string \"110%\""},
    {"[cache]\nbudget = \"nan%\"\n[[layers]]\nrange = 0\n[layers.evictor]\nname = \"h2o\"\n",
     "x.toml:2:10: [cache] budget takes tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes "
     "(\"64MiB\"), not the string \"nan%\""},
    {"[evictor]\nname = \"h2\"\n",
     "x.toml:2:8: there is no evictor \"h2\" (did you mean \"h2o\"?); there are h2o, keyed, recent"},
    // Layers.
    {"[[layers]]\nrange = \"3-1\"\n",
     "x.toml:2:9: [[layers]] range takes \"FIRST-LAST\" or one layer, such as \"0-1\", not the string \"3-1\""},
    {"[[layers]]\nrange = -1\n",
     "x.toml:2:9: [[layers]] range takes \"FIRST-LAST\" or one layer, such as \"0-1\", not -1"},
    {"[[layers]]\n[layers.codec]\nname = \"gear\"\n", "x.toml:1:1: [[layers]] lacks range, such as range = \"0-1\""},
    {"[[layers]]\nrange = \"0-3\"\n[[layers]]\nrange = 2\n", "x.toml:4:9: [[layers]] 2-2 overlaps 0-3 at x.toml:2:9"},
    {"[[layers]]\nrange = 1\ncodecs = 2\n",
     "x.toml:3:1: [[layers]] has no \"codecs\"; it takes: range, evictor, codec (did you mean \"codec\"?)"},
    {"[layers]\nrange = 1\n", "x.toml:1:1: [[layers]] is an array of tables, not a table"},
    {"layers = [1]\n", "x.toml:1:11: [[layers]] is a table, not 1"},
    {"[[layers]]\nrange = 1\n[layers.codec]\nname = \"gear\"\nbit = 2\n",
     "x.toml:5:1: [layers.codec] has no \"bit\"; gear takes: bits, backbone, rank, fast, note (did you mean "
     "\"bits\"?)"},
    {"[[layers]]\nrange = 1\n[layers.evictor]\nname = \"h2o\"\n",
     "x.toml:4:8: [layers.evictor] h2o needs to know how much to keep: set cache.budget, such as \"20%\""},
    // Sweeps.
    {"[sweep]\n\"cache.interval\" = []\n",
     "x.toml:2:20: [sweep] cache.interval takes an array of values to go through, not an empty one"},
    {"[sweep]\ncache.interval = 4\n",
     "x.toml:2:18: [sweep] cache.interval takes an array of values to go through, not 4"},
    {"[sweep]\n\"cache.interval\" = [1, 0]\n",
     "x.toml:2:24: [cache] interval takes an integer from 1 to 1048576, not 0"},
    {"[[sweep.variant]]\ncache.interval = 2\n",
     "x.toml:1:1: [[sweep.variant]] has neither a name nor a file it extends"},
    {"[[sweep.variant]]\nname = \"a\"\n[[sweep.variant]]\nname = \"a\"\n",
     "x.toml:3:1: two policies of the sweep are called \"a\""},
    {"[sweep]\nvariant = 3\n", "x.toml:2:11: [[sweep.variant]] is an array of tables, not 3"},
    {"sweep = 3\n", "x.toml:1:9: [sweep] is a table, not 3"},
    // Extending.
    {"extends = 3\n", "x.toml:1:11: extends takes a file or an array of files, not 3"},
    {"extends = \"y.toml\"\n", "x.toml:1:11: extends y.toml, which does not exist (did you mean \"x.toml\"?)"},
    // Dates are no values here.
    {"[model]\npath = 1979-05-27\n", "x.toml:2:8: no key takes a date or a time; quote it if it is meant as text"},
};

TEST(ConfigErrors, SayWhereWhatAndWhatWouldBeRight) {
  for (const Case& c : kCases) {
    ConfigFolder folder;
    EXPECT_EQ(folder.mistakes(c.toml), c.message) << c.toml;
  }
}

TEST(ConfigErrors, SyntaxErrorsHaveAPlace) {
  for (const char* toml :
       {"a = \n", "[&\n", "[cache\n", "a = 1\na = 2\n", "x = \"abc\n", "\xFF\xFE", "a = 1e\n", "= 3"}) {
    ConfigFolder folder;
    const Error error = error_of([&] { folder.load(toml); });
    EXPECT_EQ(error.code(), kExitUsage) << toml;
    EXPECT_THAT(folder.shortened(error.what()), ::testing::ContainsRegex("^x\\.toml:[0-9]+:[0-9]+: .")) << toml;
  }
}

TEST(ConfigErrors, AllComeAtOnceInOrder) {
  ConfigFolder folder;
  folder.write("base.toml", "[cache]\nchunk = 0\n");
  const std::string toml =
      "extends = \"base.toml\"\n[codec]\nname = \"gear\"\nbits = 5\nrnk = 3\n[cache]\ninterval = 0\n[mdoel]\npath = "
      "\"x\"\n";
  const std::string all = folder.mistakes(toml, {"sampler.top_p=2", "cache.compakt=1"});
  std::vector<std::string> lines;
  for (size_t from = 0; from < all.size(); from = std::min(all.find('\n', from), all.size()) + 1) {
    lines.push_back(all.substr(from, all.find(": ", from) - from));
  }
  EXPECT_THAT(lines, ::testing::ElementsAre("base.toml:2:9", "x.toml:4:8", "x.toml:5:1", "x.toml:7:12", "x.toml:8:2",
                                            "--set cache.compakt", "--set sampler.top_p"));
}

TEST(ConfigErrors, SweepsSayEachOnlyOnce) {
  ConfigFolder folder;
  EXPECT_EQ(folder.mistakes("[cache]\nchunk = 0\n[sweep]\n\"cache.interval\" = [1, 2, 4]\n"),
            "x.toml:2:9: [cache] chunk takes an integer from 1 to 1048576, not 0");
}

TEST(ConfigErrors, SweepsHaveALimit) {
  ConfigFolder folder;
  std::string list = "[1";
  for (int i = 2; i <= 200; ++i) list += "," + std::to_string(i);
  list += "]";
  EXPECT_THAT(folder.mistakes("[sweep]\n\"cache.interval\" = " + list + "\n\"cache.chunk\" = " + list + "\n"),
              HasSubstr("[sweep] gives more than 10000 policies"));
}

TEST(ConfigErrors, CirclesNameTheirFiles) {
  ConfigFolder folder;
  folder.write("a.toml", "extends = \"b.toml\"\n");
  folder.write("b.toml", "\nextends = [\"c.toml\", \"a.toml\"]\n");
  folder.write("c.toml", "");
  const auto load = [&](const char* name) {
    return folder.shortened(error_of([&] { load_config(folder.folder / name, {}, nullptr); }).what());
  };
  EXPECT_EQ(load("a.toml"), "b.toml:2:22: extends goes in a circle: a.toml -> b.toml -> a.toml");
  EXPECT_EQ(folder.mistakes("extends = \"x.toml\"\n"), "x.toml:1:11: extends goes in a circle: x.toml -> x.toml");
}

TEST(ConfigErrors, SettingsSayThatTheyWereSet) {
  ConfigFolder folder;
  const auto set = [&](const char* text) { return folder.mistakes("", {text}); };
  EXPECT_EQ(set("codec.bits=4"),
            "--set codec.bits: [codec] names no codec; add name = \"...\", or \"none\" to switch it off");
  EXPECT_THAT(set("cache.budgt=4"), StartsWith("--set cache.budgt: [cache] has no \"budgt\"; it takes: budget, "));
  EXPECT_EQ(set("cache.interval=often"),
            "--set cache.interval: [cache] interval takes an integer from 1 to 1048576, not the string \"often\"");
  for (const char* malformed : {"cache.budget", "=3", "cache..budget=3", "a b=3", "cache.budget#=3", ""}) {
    EXPECT_THAT(set(malformed), HasSubstr("is not of the form KEY=VALUE, such as cache.budget=20%")) << malformed;
  }
}

TEST(ConfigErrors, AMissingFileIsNamed) {
  const Error error = error_of([] { load_config("/no/such/file.toml", {}, nullptr); });
  EXPECT_THAT(error.what(), HasSubstr("/no/such/file.toml"));
  EXPECT_EQ(error.code(), kExitUsage);
}

TEST(ConfigErrors, AMissingFileHasNeighbours) {
  ConfigFolder folder;
  folder.write("llama2-7b_gear2_h2o20.toml", "");
  folder.write("other.toml", "");
  const auto load = [&](const char* name) {
    return folder.shortened(error_of([&] { load_config(folder.folder / name, {}, nullptr); }).what());
  };
  EXPECT_THAT(load("llama2-7b_gear2_h2o2.toml"), EndsWith(" (did you mean \"llama2-7b_gear2_h2o20.toml\"?)"));
  EXPECT_THAT(load("llama2-7b_gear2_h2o20"), EndsWith(" (did you mean \"llama2-7b_gear2_h2o20.toml\"?)"));
  EXPECT_THAT(load("other"), EndsWith(" (did you mean \"other.toml\"?)"));
  EXPECT_THAT(load("something-else.toml"), Not(HasSubstr("did you mean")));
  EXPECT_THAT(load("no/folder/other.toml"), Not(HasSubstr("did you mean")));
}

TEST(ConfigErrors, ExtendingHasALimit) {
  ConfigFolder folder;
  for (int i = 0; i < 30; ++i) {
    const std::string next = "\"e" + std::to_string(i + 1) + ".toml\"";
    folder.write("e" + std::to_string(i) + ".toml", "extends = [" + next + ", " + next + "]\n");
  }
  folder.write("e30.toml", "");
  const std::string limit = "extends brings in more than 64 files, counting one again each time it is extended";
  // One line, at the element that went beyond.
  const std::string all = folder.mistakes("extends = \"e0.toml\"\n");
  EXPECT_THAT(all, ::testing::MatchesRegex("e[0-9]+\\.toml:1:[0-9]+: " + limit));
  // As many as the limit are read, the same one too.
  std::string list = "\"e30.toml\"";
  for (int i = 1; i < 64; ++i) list += ", \"e30.toml\"";
  EXPECT_EQ(folder.load("extends = [" + list + "]\n").size(), 1u);
  EXPECT_EQ(folder.mistakes("extends = [" + list + ",\n\"e30.toml\"]\n"), "x.toml:2:1: " + limit);
}

TEST(ConfigErrors, HostileFilesAreSurvived) {
  ConfigFolder folder;
  EXPECT_NE(folder.mistakes("a = " + std::string(100000, '[')), "");
  EXPECT_NE(folder.mistakes("[" + std::string(100000, 'a') + "]\n"), "");
  EXPECT_NE(folder.mistakes(std::string(5 << 20, '#')), "");
  EXPECT_NE(folder.mistakes(std::string("[cache]\nbudget = \"") + std::string(1000, '9') + "MiB\"\n"), "");
}

}  // namespace
}  // namespace sluice
