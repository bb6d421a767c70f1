// The checker checked: each plugin of bad_plugins/check keeps all promises but one, and must fail exactly the check of
// that promise; the one that lies nowhere, and the plugins of this tree, fail none.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli_program.h"
#include "support/scratch_folder.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using Verdicts = std::map<std::string, std::string>;  // of what failed

// "" for the whole run, and what failed how.
Verdicts failures(const std::filesystem::path& library, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"plugin", "check", library.string(), "--json", "--only-failed"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = sluice(words);
  Verdicts failed;
  const auto json = nlohmann::json::parse(outcome.out, nullptr, false);
  if (json.is_discarded()) {
    ADD_FAILURE() << "no JSON: " << outcome.out << outcome.err;
    return failed;
  }
  for (const auto& row : json["checks"]) failed[row["check"]] = row["verdict"];
  EXPECT_EQ(outcome.code, failed.empty() ? 0 : 1) << outcome.err;
  return failed;
}

std::filesystem::path liar(const std::string& name) {
  return std::filesystem::path(SLUICE_LIARS) / (name + ".sluice.so");
}

struct Lie {
  const char* plugin;
  const char* check;  // that it must fail, and no other
  const char* verdict = "FAIL";
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.plugin; }

constexpr Lie kLies[] = {
    {"constructor_crash", "library-load", "CRASH"},
    {"leaked_symbol", "library-exports"},
    {"static_constructor", "library-constructors"},
    {"talkative", "library-quiet"},
    {"two_structs", "library-entry"},
    {"null_module", "library-entry"},
    {"unknown_interface", "library-interfaces"},
    {"no_interface", "library-interfaces"},
    {"padded_revision", "library-interfaces"},
    {"wrong_layout", "library-layout"},
    {"null_member", "library-members"},
    {"parameter_twice", "library-parameters"},
    {"name_twice", "library-names"},
    {"any_revision", "library-extensions"},
    {"leak", "evictor-create"},
    {"silent_create", "evictor-create"},
    {"unknown_signal", "evictor-signal"},
    {"state_overrun", "evictor-memory"},
    {"victims_overrun", "evictor-memory"},
    {"crash", "evictor-memory", "CRASH"},
    {"exits", "evictor-memory", "CRASH"},
    {"victim_twice", "evictor-victims"},
    {"dead_victim", "evictor-victims"},
    {"out_of_range", "evictor-victims"},
    {"too_few", "evictor-victims"},
    {"unseeded", "evictor-deterministic"},
    {"global_state", "evictor-alone"},
    {"pointer_in_state", "evictor-moved"},
    {"slot_order", "evictor-slots"},
    {"freed_slots", "evictor-freed"},
    {"known_by_content", "evictor-fork"},
    {"shared_scratch", "evictor-threads"},
    {"resize_forgets", "evictor-resize"},
    {"four_lanes", "evictor-lanes"},
    {"lane_per_head", "evictor-layer"},
    {"short_batch", "evictor-number"},
    {"silent_refusal", "evictor-refusals"},
    {"trusting_lane", "evictor-refusals"},
    {"changed_by_refusal", "evictor-refusals"},
    {"short_counter", "evictor-budget"},
    {"short_prompt", "evictor-prompt"},
    {"sixteen_bits", "evictor-wide"},
    {"huge_signal", "evictor-signals"},
    {"allocates", "evictor-allocations"},
    {"rows_required", "extension-rows"},
    {"zero_keys", "extension-rows"},
    {"rows_silent", "extension-reads"},
    {"window_of_none", "extension-window"},
    {"greedy_layers", "extension-layers"},
    {"short_split", "extension-split"},
};

class CheckLiars : public ::testing::TestWithParam<Lie> {};
INSTANTIATE_TEST_SUITE_P(All, CheckLiars, ::testing::ValuesIn(kLies),
                         [](const auto& info) { return std::string(info.param.plugin); });

TEST_P(CheckLiars, FailExactlyWhatTheyBreak) {
#if defined(__SANITIZE_ADDRESS__)
  if (std::string(GetParam().plugin) == "pointer_in_state")
    GTEST_SKIP() << "freed memory does not come back at once: two runs hold different pointers, and "
                    "evictor-deterministic is the first to see it";
#endif
#if defined(__SANITIZE_THREAD__)
  if (std::string(GetParam().plugin) == "shared_scratch")
    GTEST_SKIP() << "the sanitizer ends the race before the check can see what it does";
#endif
  EXPECT_EQ(failures(liar(GetParam().plugin)), (Verdicts{{GetParam().check, GetParam().verdict}}));
}

TEST(CheckLiars, ThatHangAreEnded) {
  EXPECT_EQ(failures(liar("hang"), {"--limit", "1.5"}), (Verdicts{{"evictor-memory", "TIMEOUT"}}));
}

// Every file of the folder is in the table, but for the one above and those that are honest.
TEST(CheckLiars, AreAllTried) {
  std::set<std::string> tried = {"good", "hang", "split_only"}, built;
  for (const Lie& lie : kLies) tried.insert(lie.plugin);
  for (const auto& file : std::filesystem::directory_iterator(SLUICE_SOURCE "/tests/bad_plugins/check"))
    if (file.path().extension() == ".c") built.insert(file.path().stem());
  EXPECT_EQ(tried, built);
}

TEST(CheckHonest, PassInChildrenAndInProcess) {
  EXPECT_EQ(failures(liar("good")), Verdicts{});
  EXPECT_EQ(failures(liar("good"), {"--in-process", "--seed", "77"}), Verdicts{});
}

// What cannot be tried is skipped, also by checks that end a driver's mistakes with sentences of their own.
TEST(CheckHonest, MayServeOnlyHostsThatSplitByHead) {
  EXPECT_EQ(failures(liar("split_only")), Verdicts{});
  EXPECT_EQ(failures(liar("split_only"), {"--include", "evictor-(signals|threads)"}), Verdicts{});
}

// Checks that others rest on may be left out; those that rest on them then have nothing to say, and survive.
TEST(CheckFiles, ThatBreakTheGroundTakeNoCheckDown) {
  const std::vector<std::string> later = {"--include", "library-(layout|members|parameters|names|extensions|speed)"};
  for (const char* name : {"null_module", "no_interface", "unknown_interface", "padded_revision"})
    EXPECT_EQ(failures(liar(name), later), Verdicts{}) << name;
  EXPECT_EQ(failures(SLUICE_BAD_PLUGINS "/null_entry.sluice.so", later), Verdicts{});
  EXPECT_EQ(failures(SLUICE_BAD_PLUGINS "/null_entry.sluice.so", {"--include", "library-interfaces"}), Verdicts{});
  EXPECT_EQ(failures(liar("null_module"), {"--include", "library-interfaces"}), Verdicts{});
}

TEST(CheckFiles, ThatAreNoPluginsAreSaidToBe) {
  const std::string folder = SLUICE_BAD_PLUGINS;
  EXPECT_EQ(failures(folder + "/missing_symbol.sluice.so"), (Verdicts{{"library-load", "FAIL"}}));
  EXPECT_EQ(failures(folder + "/no_entry.sluice.so"), (Verdicts{{"library-symbol", "FAIL"}}));

  ScratchFolder scratch;
  std::ofstream(scratch / "text.sluice.so") << "not a library";
  std::ofstream(scratch / "empty.sluice.so");
  const std::string whole = read_file(liar("good"));
  std::ofstream(scratch / "cut.sluice.so") << whole.substr(0, 4096);
  std::string foreign = whole;
  foreign[18] = char(0xF3), foreign[19] = 0;  // e_machine: RISC-V
  std::ofstream(scratch / "foreign.sluice.so") << foreign;
  for (const char* name : {"text", "empty", "cut", "foreign"})
    EXPECT_EQ(failures(scratch / (std::string(name) + ".sluice.so")), (Verdicts{{"library-file", "FAIL"}})) << name;
  EXPECT_THAT(sluice({"plugin", "check", (scratch / "foreign.sluice.so").string()}).out,
              HasSubstr("was built for RISC-V, this machine is "));
}

}  // namespace
}  // namespace sluice::testing
