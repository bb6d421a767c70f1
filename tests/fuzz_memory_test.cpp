// JSON files that would take many times their size in memory: large ones with a mistake at their end, and ones that
// nest or hold more than any model's do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/tokenizer/readers.h"
#include "support/allocation_watch.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

const char kTokenizer[] = R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}})";

struct Refusal {
  std::string message;
  size_t peak = 0;
};

Refusal read(const std::string& tokenizer, const std::string& config) {
  const ScratchFolder folder;
  put_bytes(folder / "tokenizer.json", tokenizer);
  put_bytes(folder / "tokenizer_config.json", config);
  const AllocationWatch watch;
  const Error error = error_of([&] { read_tokenizer_json(folder.path()); });
  EXPECT_EQ(error.code(), kExitUsage);
  return {error.what(), watch.peak()};
}

std::string repeated(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(FuzzMemory, AMistakeAtTheEndOfAListCostsNoList) {
  const std::string list = "[1" + repeated(",1", 1500000) + "x";
  const Refusal refusal = read(list, "{}");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("tokenizer.json: "), HasSubstr("line 1, column 3000003")));
  EXPECT_LT(refusal.peak, list.size() + (size_t(64) << 20));
}

TEST(FuzzMemory, SettingsBesideATokenizerAreSmallAndFlat) {
  EXPECT_THAT(read(kTokenizer, repeated("[", 1000000)).message,
              HasSubstr("tokenizer_config.json: nests deeper than 32 levels"));
  const Refusal large = read(kTokenizer, "{\"a\":[1" + repeated(",1", 3000000) + "]}");
  EXPECT_THAT(large.message, HasSubstr("tokenizer_config.json: is larger than 4194304 bytes"));
  EXPECT_LT(large.peak, size_t(64) << 20);
}

}  // namespace
}  // namespace sluice
