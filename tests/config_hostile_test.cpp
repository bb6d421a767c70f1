// Configuration files that are made to hurt: deep, wide, or much larger once expanded than on the disk. Each is refused
// in a few lines, in little time and memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/config_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

std::string repeated(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ConfigHostile, DeepKeysAreRefusedBeforeTheyAreBuilt) {
  ConfigFolder folder;
  const std::string deep = repeated("a.", 100000) + "a";
  const auto refused = HasSubstr("nests deeper than 32 levels");
  EXPECT_EQ(folder.mistakes("\n[" + deep + "]\n"), "x.toml:2:65: nests deeper than 32 levels");
  EXPECT_THAT(folder.mistakes(deep + " = 1\n"), refused);
  EXPECT_THAT(folder.mistakes("x = {" + deep + " = 1}\n"), refused);
  EXPECT_THAT(folder.mistakes(repeated("'a' . \"b\" . ", 40) + "c = 1\n"), refused);
  EXPECT_THAT(folder.mistakes("x = " + repeated("[", 33) + repeated("]", 33) + "\n"), refused);
  EXPECT_THAT(folder.mistakes("x = " + repeated("[{a.b.c = ", 9) + "1" + repeated("}]", 9) + "\n"), refused);
  EXPECT_THAT(folder.mistakes("", {deep + "=1"}), HasSubstr("is not of the form KEY=VALUE"));
  EXPECT_EQ(folder.one("", {"model.path=" + repeated("[", 1000)}).model.size(), 1000u);  // text, which it may be
  const sluice_module& h2o = folder.registry.find(SLUICE_EVICTOR, "h2o", {});
  EXPECT_THAT(error_of([&] { read_part_params(h2o, deep + " = 1", [](auto) {}); }).what(), refused);
}

// What only looks deep: texts, comments, numbers, lists, and quotes within them.
TEST(ConfigHostile, DotsAndBracketsInTextsAreNoNesting) {
  ConfigFolder folder;
  const std::string dots = repeated("a.[{", 40);
  const std::string texts[] = {"\"" + dots + "\"", "'" + dots + "'", "\"\"\"" + dots + "\"\"\"", "'''" + dots + "'''",
                               "\"\\\"" + dots + "\""};
  for (const std::string& text : texts)
    EXPECT_EQ(folder.one("[model]\npath = " + text + " # " + dots + "\n").context, 4096u) << text;
  EXPECT_EQ(
      folder.load("[sweep]\n\"cache.compact\" = [0.1" + repeated(", 0.5, 0.25", 0) + repeated(",\n 0.5", 0) + "]\n")
          .size(),
      1u);
  EXPECT_THAT(folder.mistakes("[eval]\ntasks = [1.5" + repeated(", 1.5", 100) + "]\n"), Not(HasSubstr("nests")));
  // Quotes at the end of a text of several lines belong to it; what follows is looked at again.
  for (const char* end : {"\"\"\"", "\"\"\"\"", "\"\"\"\"\""})
    EXPECT_THAT(folder.mistakes(std::string("x = {a = \"\"\"t") + end + ", " + repeated("b.", 40) + "b = 1}\n"),
                HasSubstr("nests deeper"));
}

// Keys with dots in quotes become tables only in sweeps.
TEST(ConfigHostile, LongPathsInSweepsAreRefused) {
  ConfigFolder folder;
  const std::string path = "\"" + repeated("a.", 50000) + "a\"";
  const std::string message = "a key of more than 32 parts";
  EXPECT_EQ(folder.mistakes("[sweep]\n" + path + " = [1, 2]\n"), "x.toml:2:1: " + message);
  EXPECT_THAT(folder.mistakes("[[sweep.variant]]\nname = \"v\"\n" + path + " = 1\n"), HasSubstr(message));
}

TEST(ConfigHostile, KeysAreCountedOverAllFiles) {
  ConfigFolder folder;
  std::string keys, nested = "[[layers]]\nrange = 1\n";
  for (int i = 0; i < 3000; ++i) keys += "a" + std::to_string(i) + " = 1\n";
  folder.write("base.toml", keys);
  EXPECT_THAT(folder.mistakes(keys), Not(HasSubstr("more than 4096 keys")));
  EXPECT_EQ(folder.mistakes(keys + nested + keys), "x.toml: holds more than 4096 keys, with what it extends");
  EXPECT_THAT(folder.mistakes("extends = [\"base.toml\", \"base.toml\"]\n"), HasSubstr("base.toml: holds more than"));
}

TEST(ConfigHostile, OnlyTheFirstMistakesAreShown) {
  ConfigFolder folder;
  std::string keys;
  for (int i = 0; i < 3000; ++i) keys += "a" + std::to_string(i) + " = 1\n";
  const std::string all = folder.mistakes(keys);
  EXPECT_THAT(all, AllOf(HasSubstr("x.toml:1:1: there is no key \"a0\""), HasSubstr("x.toml:100:1: "),
                         Not(HasSubstr("x.toml:101:1: "))));
  EXPECT_TRUE(all.ends_with("\nthere are more mistakes; these are the first 100")) << all.substr(all.size() - 200);
}

TEST(ConfigHostile, LayersThatAllOverlapAreSaidOnceEach) {
  ConfigFolder folder;
  const std::string all = folder.mistakes(repeated("[[layers]]\nrange = 1\n", 5));
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3) << all;
  EXPECT_THAT(all, HasSubstr("x.toml:10:9: [[layers]] 1-1 overlaps 1-1 at x.toml:2:9"));
}

// A thousand policies are allowed, as many times a long text is not.
TEST(ConfigHostile, SweepsAreLimitedByWhatTheyHold) {
  ConfigFolder folder;
  std::string list = "[1";
  for (int i = 2; i <= 32; ++i) list += "," + std::to_string(i);
  list += "]";
  const std::string sweep = "[sweep]\n\"cache.interval\" = " + list + "\n\"cache.chunk\" = " + list + "\n";
  EXPECT_THAT(folder.load(sweep), SizeIs(1024));
  EXPECT_EQ(folder.mistakes("[model]\npath = \"" + std::string(100000, 'x') + "\"\n" + sweep),
            "x.toml:4:21: [sweep] gives policies of more than 64 MiB together");
}

TEST(ConfigHostile, OnlyFilesAreExtended) {
  ConfigFolder folder;
  ASSERT_EQ(mkfifo((folder.folder / "pipe.toml").c_str(), 0600), 0);
  EXPECT_EQ(folder.mistakes("extends = \"pipe.toml\"\n"), "x.toml:1:11: extends pipe.toml, which is no file");
  EXPECT_THAT(folder.mistakes("extends = \".\"\n"), HasSubstr("x.toml:1:11: extends "));
}

// What a file calls things reaches a terminal as text, and makes no lines of its own.
TEST(ConfigHostile, NamesCannotWriteOnTheTerminal) {
  ConfigFolder folder;
  const std::string name = "\"\\u001b[2J\\n\"", shown = "\\x1B[2J\\x0A";
  EXPECT_EQ(folder.mistakes("[evictor]\nname = " + name + "\n"),
            "x.toml:2:8: there is no evictor \"" + shown + "\"; there are h2o, keyed, recent");
  EXPECT_THAT(folder.mistakes("extends = " + name + "\n"), HasSubstr("extends " + shown + ", which does not exist"));
  EXPECT_THAT(
      folder.mistakes("[sweep]\n[[sweep.variant]]\nname = " + name + "\n[[sweep.variant]]\nname = " + name + "\n"),
      AllOf(HasSubstr("x.toml:4:1: two policies of the sweep are called \"" + shown + "\""),
            HasSubstr("x.toml: a policy cannot be called \"" + shown + "\"")));
  EXPECT_THAT(folder.mistakes("a = in\x01\n"), HasSubstr("in\\x01"));
  EXPECT_THAT(error_of([] { find_model("\x1B", {}); }).what(), Not(HasSubstr("\x1B")));
}

TEST(ConfigHostile, LargeFilesAreNotRead) {
  ConfigFolder folder;
  const auto path = folder.write("x.toml", "");
  std::filesystem::resize_file(path, uint64_t(1) << 40);
  EXPECT_EQ(folder.shortened(error_of([&] { load_config(path, {}, nullptr); }).what()),
            "x.toml: is larger than 262144 bytes");
}

}  // namespace
}  // namespace sluice
