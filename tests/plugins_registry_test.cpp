// Libraries on disk: what is found, in which order, and why some are not usable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "core/plugins/describe.h"
#include "core/plugins/library.h"
#include "core/plugins/registry.h"
#include "support/scratch_folder.h"
#include "support/test_module.h"

namespace sluice {
namespace {

using namespace testing;
namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Libraries : public ::testing::Test {
 protected:
  std::unique_ptr<Registry> scan(std::vector<fs::path> folders) { return std::make_unique<Registry>(folders, pool); }
  static std::map<std::string, std::string> reasons(const Registry& registry) {
    std::map<std::string, std::string> result;
    for (const Module& module : registry.modules()) result[module.name] = module.reason;
    return result;
  }
  ThreadPool pool{1};
};

TEST_F(Libraries, EachBrokenOneIsListedWithItsReason) {
  const auto registry = scan({SLUICE_BAD_PLUGINS});
  auto reason = reasons(*registry);
  EXPECT_EQ(reason.size(), 9u);
  EXPECT_EQ(reason["idle"], "");
  EXPECT_THAT(reason["bad_magic"], HasSubstr("magic 0xDEADBEEF"));
  EXPECT_EQ(reason["bad_abi"], "was built for plugin ABI 2, this host has ABI 1");
  EXPECT_EQ(reason["bad_size"], "its sluice_plugin has 40 bytes, this host's 32");
  EXPECT_THAT(reason["wrong_layout"], HasSubstr("was built against other headers (layout 0x12345678, this host has "));
  EXPECT_EQ(reason["future_revision"], "provides sluice.evictor/2, this host knows /1");
  EXPECT_EQ(reason["null_entry"], "its sluice_plugin_entry() returned NULL");
  EXPECT_EQ(reason["no_entry"], "exports no sluice_plugin_entry, so it is not a Sluice plugin");
  EXPECT_EQ(reason["missing_symbol"], "uses the symbol nobody_provides_this, which nothing here provides");
  EXPECT_STREQ(registry->find(SLUICE_EVICTOR, "idle").name, "idle");
}

TEST_F(Libraries, FilesThatAreNoLibrariesAreListedToo) {
  ScratchFolder folder;
  std::ofstream(folder / "text.sluice.so")
      << "this is no library, but long enough to hold the header of one, is it not";
  std::ofstream(folder / "empty.sluice.so");
  std::ofstream(folder / "ignored.so") << "not our suffix";
  fs::create_directory(folder / "folder.sluice.so");
  fs::create_symlink("nowhere", folder / "dangling.sluice.so");
  fs::copy_file(fs::path(SLUICE_BAD_PLUGINS) / "idle.sluice.so", folder / "half.sluice.so");
  fs::resize_file(folder / "half.sluice.so", fs::file_size(folder / "half.sluice.so") / 2);
  auto reason = reasons(*scan({folder.path()}));
  EXPECT_EQ(reason.size(), 5u);
  EXPECT_THAT(reason["half"], HasSubstr("is cut off"));  // the loader would end the process
  EXPECT_EQ(reason["text"], "is not a shared library (invalid ELF header)");
  EXPECT_EQ(reason["empty"], "is not a shared library (file too short)");
  EXPECT_THAT(reason["folder"], HasSubstr("does not load"));
  EXPECT_THAT(reason["dangling"], HasSubstr("cannot be read"));
}

TEST_F(Libraries, FindExplainsWhatIsUnavailable) {
  const auto registry = scan({SLUICE_BAD_PLUGINS});
  const auto message = [&](const char* name) {
    return std::string(error_of([&] { registry->find(SLUICE_EVICTOR, name, "x.toml:3:1"); }).what());
  };
  EXPECT_THAT(message("future_revision"),
              ::testing::MatchesRegex("x.toml:3:1: evictor \"future_revision\" is unavailable: "
                                      ".*future_revision.sluice.so provides sluice.evictor/2, this host knows /1"));
  EXPECT_THAT(message("missing_symbol"), HasSubstr("missing_symbol.sluice.so uses the symbol nobody_provides_this"));
  EXPECT_EQ(message("idel"), "x.toml:3:1: there is no evictor \"idel\" (did you mean \"idle\"?); there is idle");
  EXPECT_EQ(error_of([&] { registry->find(SLUICE_CODEC, "idle"); }).what(),
            std::string("there is no codec \"idle\": no codec was found at all (see `sluice plugin list`)"));
}

TEST_F(Libraries, TheFirstOfANameWins) {
  ScratchFolder first, second;
  const fs::path idle = fs::path(SLUICE_BAD_PLUGINS) / "idle.sluice.so";
  fs::copy_file(idle, first / "idle.sluice.so");
  fs::copy_file(idle, second / "idle.sluice.so");
  fs::create_symlink(first / "idle.sluice.so", second / "linked.sluice.so");
  const auto registry = scan({first.path(), second.path(), first.path(), "/no/such/folder"});
  ASSERT_EQ(registry->modules().size(), 2u) << "one file under two names counts once";
  EXPECT_TRUE(registry->modules()[0].module);
  EXPECT_EQ(registry->modules()[0].library, fs::canonical(first / "idle.sluice.so"));
  EXPECT_FALSE(registry->modules()[1].module);
  EXPECT_EQ(registry->modules()[1].reason,
            "hidden by " + fs::canonical(first / "idle.sluice.so").string() + ", which was found first");
  EXPECT_EQ(&registry->find(SLUICE_EVICTOR, "idle"), registry->modules()[0].module);
}

TEST_F(Libraries, AnUnusableOneHidesNothing) {
  Registry registry({}, pool);
  TestModule broken("twin", SLUICE_EVICTOR, 1), sound("twin"), codec("twin", SLUICE_CODEC, SLUICE_CODEC_LAYOUT);
  registry.add(broken.plugin);
  registry.add(sound.plugin);
  registry.add(codec.plugin);
  EXPECT_EQ(&registry.find(SLUICE_EVICTOR, "twin"), &sound.module);
  EXPECT_EQ(&registry.find(SLUICE_CODEC, "twin"), &codec.module);
}

TEST_F(Libraries, SurvivesARescan) {
  const auto once = scan({SLUICE_BAD_PLUGINS});
  const sluice_module* before = &once->find(SLUICE_EVICTOR, "idle");
  const auto again = scan({SLUICE_BAD_PLUGINS});
  EXPECT_EQ(&again->find(SLUICE_EVICTOR, "idle"), before);
}

TEST(SearchPath, HasAnOrderAndNoFolderTwice) {
  ScratchFolder a, b;
  const fs::path variable = b.path();
  ::setenv("SLUICE_PLUGIN_PATH", (variable.string() + "::" + a.path().string()).c_str(), 1);
  const std::vector<fs::path> configured = {a.path(), a / "../" / a.path().filename()};
  const auto folders = Registry::search_path(configured);
  ::unsetenv("SLUICE_PLUGIN_PATH");
  ASSERT_GE(folders.size(), 4u);
  EXPECT_EQ(folders[0], fs::canonical(a.path()));
  EXPECT_EQ(folders[1], fs::canonical(b.path()));
  EXPECT_EQ(folders[2], fs::weakly_canonical(program_folder() / "../lib/sluice"));
  EXPECT_EQ(folders.size(), 4u);
}

TEST(LoaderMessages, AreReworded) {
  const auto reword = [](const std::string& text) { return reword_loader_message(text, "/p/cuda.sluice.so"); };
  EXPECT_EQ(reword("boost::dll::shared_library::load() failed (dlerror system message: libcudart.so.13: cannot open "
                   "shared object file: No such file or directory): Bad file descriptor"),
            "needs libcudart.so.13, which the loader does not find on this machine");
  EXPECT_EQ(
      reword("x (dlerror system message: /p/cuda.sluice.so: undefined symbol: cublasCreate_v2): Bad file descriptor"),
      "uses the symbol cublasCreate_v2, which nothing here provides");
  EXPECT_EQ(reword("x (dlerror system message: /p/cuda.sluice.so: cannot allocate memory in static TLS block): Bad "
                   "file descriptor"),
            "does not load: cannot allocate memory in static TLS block");
  EXPECT_EQ(reword("something else"), "does not load: something else");
}

TEST(Describe, TakesForNumbersWhatIsWrittenAsOne) {
  for (const int64_t number : {int64_t(0), int64_t(4), int64_t(-3), INT64_MAX, INT64_MIN})
    EXPECT_EQ(choice_number(std::to_string(number)), number);
  for (const char* word : {"", "007", "00", "-0", "+4", "4x", "x4", "9223372036854775808", "123456789012345678901"})
    EXPECT_EQ(choice_number(word), std::nullopt) << word;
}

TEST(Describe, ShowsParametersAsTomlWritesThem) {
  TestModule module("shown");
  module.set_params({param("recent", SLUICE_TOKENS, int_value(SLUICE_PERCENT(50)), int_value(0), int_value(64)),
                     param("decay", SLUICE_FLOAT, float_value(1), float_value(0), float_value(1)),
                     param("bits", SLUICE_CHOICE, int_value(1), {}, {}, "2|4"),
                     param("axis", SLUICE_CHOICE, int_value(0), {}, {}, "token|channel"),
                     param("seed", SLUICE_INT, int_value(0), int_value(0), int_value(INT64_MAX)),
                     param("file", SLUICE_STRING, text_value(""), {}, {}, nullptr, true),
                     param("table", SLUICE_PATH, text_value("a.txt")), param("on", SLUICE_BOOL, int_value(1))});
  const std::string markdown = describe_markdown(module.module);
  EXPECT_THAT(markdown,
              HasSubstr("| `recent` | `\"50%\"` | tokens, 0 to 64, or a share such as \"50%\" | what it is |"));
  EXPECT_THAT(markdown, HasSubstr("| `decay` | `1.0` | number, 0.0 to 1.0 |"));
  EXPECT_THAT(markdown, HasSubstr("| `bits` | `4` | one of 2, 4 |"));
  EXPECT_THAT(markdown, HasSubstr("| `axis` | `\"token\"` | one of token, channel |"));
  EXPECT_THAT(markdown, HasSubstr("| `seed` | `0` | integer, at least 0 |"));
  EXPECT_THAT(markdown, HasSubstr("| `file` | `required` | text |"));
  EXPECT_THAT(markdown, HasSubstr("| `table` | `\"a.txt\"` | a path |"));
  EXPECT_THAT(markdown, HasSubstr("| `on` | `true` | true or false |"));
  EXPECT_EQ(describe_tokens(-1250), "12.5%");
  EXPECT_EQ(describe_tokens(-1), "0.01%");
  EXPECT_EQ(describe_tokens(7), "7");
  TestModule codec("c", SLUICE_CODEC, SLUICE_CODEC_LAYOUT);
  codec.table[8] = nullptr;
  EXPECT_EQ(describe_capabilities(codec.module), "retain: no, dot/accumulate: yes, CUDA: no");
}

}  // namespace
}  // namespace sluice
