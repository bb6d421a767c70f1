// The checks of codecs checked: one good codec passes all of them, and each that breaks one promise fails exactly the
// check which is about it.
#include <set>

#include "tests/support/check_runner.h"
#include "tests/support/codec_driver.h"

namespace sluice::testing {
namespace {

struct BadCodec {
  const char* library;
  const char* check;
  const char* says;  // part of the sentence
};
constexpr BadCodec kBadCodecs[] = {
    {"good_one", nullptr, ""},
    {"silent_refusal", "codec-create", "refuses head_dim 80 without a message"},
    {"uneven_plan", "codec-plan", "max_rows 129, which is no multiple of block_rows 64"},
    {"tolerance_lie", "codec-tolerance", "off, the promised tolerance is 0.001"},
    {"exact_lie", "codec-exact", "says exact, but"},
    {"range_dependent", "codec-ranges", "gives other bits than decoding all of the block"},
    {"constant_rows", "codec-extremes", "rows of nothing but 3 decode to"},
    {"nan_output", "codec-nonfinite", "is accepted, and decode() gives"},
    {"nan_crash", "codec-nonfinite", "ended with status"},
    {"bound_short", "codec-bounds", "wrote past bound()"},
    {"scratch_short", "codec-scratch", "wrote past its 56 bytes of scratch"},
    {"scratch_dirty", "codec-scratch", "over other junk in scratch"},
    {"claims_unused", "codec-written", "does not write 32 of them, of which account() calls 0 padding"},
    {"account_wrong", "codec-account", "adds up to"},
    {"account_beyond", "codec-account-head", "reads beyond the first 64 bytes"},
    {"decode_writes", "codec-reads", "decode() of K, head_dim 32 writes to the block"},
    {"allocates", "codec-allocations", "dot() of K, head_dim 64 allocates 1 times"},
    {"unseeded", "codec-deterministic", "gives other bytes when it is repeated"},
    {"global_state", "codec-independent", "gives other bytes once other blocks were coded"},
    {"pointer_in_block", "codec-moved", "gives other bytes at another address"},
    {"static_buffer", "codec-threads", "on eight threads gives other bytes"},
    {"retain_recodes", "codec-retain", "row 0 changed"},
    {"retain_grows", "codec-retain-size", "made the block larger"},
    {"dot_wrong", "codec-dot", "from the decoded rows"},
    {"accumulate_forgets", "codec-accumulate", "from the decoded rows"},
    {"other_columns", "codec-columns", "wrote column"},
    {"tile_order", "codec-tiles", "tiles of 1 queries"},
    {"sums_a_call", "codec-cuts", "calls of 1 spans"},
};

void PrintTo(const BadCodec& bad, std::ostream* out) { *out << bad.library; }

class CodecCheck : public ::testing::TestWithParam<BadCodec> {};
INSTANTIATE_TEST_SUITE_P(Bad, CodecCheck, ::testing::ValuesIn(kBadCodecs),
                         [](const auto& info) { return std::string(info.param.library); });

TEST_P(CodecCheck, FailsExactlyWhatItBreaks) {
#if defined(__SANITIZE_THREAD__)
  if (std::string(GetParam().library) == "static_buffer")
    GTEST_SKIP() << "the sanitizer ends the race before the check can see what it does";
#endif
  ThreadPool pool(1);
  const std::filesystem::path folder[] = {std::filesystem::path(SLUICE_BAD_CODECS) / GetParam().library};
  Registry registry(folder, pool);
  const check::Subject subject{{}, &registry.find(SLUICE_CODEC, "bad"), &registry, {}, 1};
  std::set<std::string> failed, expected;
  if (GetParam().check) expected = {GetParam().check};
  for (const check::Check& each : check::codec_checks()) {
    const Finding found = run_check_apart(each, subject);
    if (!found.bad()) continue;
    failed.emplace(each.name);
    EXPECT_NE(found.why.find(GetParam().says), std::string::npos) << each.name << ": " << found.why;
  }
  EXPECT_EQ(failed, expected);
}

TEST(CodecCheckList, EveryCheckThatCanFailIsFailedByACodec) {
  std::set<std::string> broken;
  for (const BadCodec& bad : kBadCodecs)
    if (bad.check) broken.emplace(bad.check);
  for (const check::Check& each : check::codec_checks()) {
    EXPECT_FALSE(each.promise.empty()) << each.name;
    // A clock's opinion is a warning; device verbs need a device.
    if (each.name == "codec-speed" || each.name == "codec-cuda") continue;
    EXPECT_TRUE(broken.count(std::string(each.name))) << each.name;
  }
}

}  // namespace
}  // namespace sluice::testing
