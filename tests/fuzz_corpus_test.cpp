// The fuzzers' entries without a fuzzer: what was found by hand and by fuzzing, and seeded mutations of it. Inputs are
// read or refused; none crashes, hangs, or takes much more memory than it has bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/file.h"
#include "fuzz/mutate.h"
#include "fuzz/seeds.h"
#include "fuzz/targets.h"
#include "support/allocation_watch.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using fuzz::Target;
using testing::AllocationWatch;
using testing::FuzzRandom;

const fs::path kFolder = fs::path(SLUICE_SOURCE) / "tests/fuzz";

struct Input {
  std::string name, bytes;
};

std::vector<Input> corpus(const Target& target) {
  std::vector<Input> inputs;
  for (const auto& entry : fs::directory_iterator(kFolder / "corpus" / target.name))
    inputs.push_back({entry.path().filename().string(), read_file(entry.path())});
  std::sort(inputs.begin(), inputs.end(), [](const Input& a, const Input& b) { return a.name < b.name; });
  return inputs;
}

std::string run(const Target& target, std::string_view bytes) {
  const AllocationWatch watch;
  const std::string refused = target.run(bytes);
  EXPECT_LT(watch.peak(), bytes.size() + (size_t(64) << 20));
  return refused;
}

class Fuzz : public ::testing::TestWithParam<Target> {};

TEST_P(Fuzz, CorpusIsReadOrRefused) {
  int read = 0, refused = 0;
  for (const Input& input : corpus(GetParam())) {
    const std::string message = run(GetParam(), input.bytes);
    (message.empty() ? read : refused)++;
    // What fuzzing starts from is sound.
    if (input.name.starts_with("seed_")) {
      EXPECT_EQ(message, "") << input.name;
    }
    ASSERT_FALSE(HasFailure()) << input.name;
  }
  EXPECT_GE(read, 2);
  EXPECT_GE(refused, 2);
}

TEST_P(Fuzz, MutationsAreReadOrRefused) {
  const std::vector<Input> inputs = corpus(GetParam());
  const std::vector<std::string> words = fuzz::read_dictionary(kFolder / (std::string(GetParam().name) + ".dict"));
  ASSERT_FALSE(words.empty());
  uint64_t stream = 11;
  while (fuzz::kTargets[stream - 11].run != GetParam().run) ++stream;
  FuzzRandom random(stream);
  for (int round = 0; round < FuzzRandom::rounds(1500); ++round) {
    const auto any = [&]() -> const std::string& { return inputs[random.next() % inputs.size()].bytes; };
    run(GetParam(), fuzz::mutated(any(), any(), words, random));
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, ::testing::ValuesIn(fuzz::kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FuzzCorpus, GeneratedSeedsAreCurrent) {
  for (const fuzz::Seed& seed : fuzz::seeds())
    EXPECT_EQ(read_file(kFolder / "corpus" / seed.target / ("seed_" + seed.name)), seed.bytes)
        << seed.target << ": run scripts/fuzz.sh, which writes them";
}

}  // namespace
}  // namespace sluice
