// A writer that is killed twenty times at random moments and resumed each time leaves what an undisturbed one does.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <random>

#include "core/store/store.h"
#include "support/scratch_folder.h"
#include "support/store_samples.h"

namespace sluice {
namespace {

constexpr uint64_t kSamples = 150;

// What an evaluation does: opens the store, skips what is done, writes a byte to `told` as each sample is in.
void write_samples(const std::filesystem::path& folder, int told) {
  Store store = Store::to_write(folder);
  for (const char* policy : {"full", "gear2"}) {
    RunRecord record;
    record.policy = policy, record.task = "gsm8k_cot", record.identity = {{"model", "abc"}};
    const int64_t run = store.begin_run(record);
    const auto done = store.done(run);
    for (uint64_t i = 0; i < kSamples; i++) {
      const SampleRecord sample = testing::sample(i);
      if (done.count({i, sample.prompt_key()})) continue;
      store.add(run, sample);
      const char byte = 'x';
      if (told >= 0 && write(told, &byte, 1) != 1) return;
    }
  }
}

std::string content(const std::filesystem::path& folder) {
  std::string text;
  Store store = Store::to_read(folder);
  for (const StoredRun& run : store.runs()) {
    text += run.record.key() + "\n";
    for (const SampleRecord& s : store.samples(run.run)) text += testing::dump(s) + "\n";
  }
  return text;
}

TEST(StoreCrash, TwentyDeathsChangeNothing) {
  const testing::ScratchFolder folder;
  write_samples(folder / "undisturbed", -1);
  std::mt19937 random(11);
  uint64_t deaths = 0, before = 0;
  while (deaths < 20) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      try {
        write_samples(folder / "killed", ends[1]);
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        _exit(1);
      }
      _exit(0);
    }
    close(ends[1]);
    // It goes on while this reads, and is somewhere within a sample, or opening the store, when it is killed.
    uint64_t told = 0;
    const uint64_t wait = random() % 12;
    for (char byte; told < wait && read(ends[0], &byte, 1) == 1;) told++;
    for (uint64_t i = 0, n = random() % 200000; i < n; i++) asm volatile("" ::: "memory");
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    for (char byte; read(ends[0], &byte, 1) == 1;) told++;
    close(ends[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was to be killed before it ended, death " << deaths;
    deaths++;
    if (!std::filesystem::exists(Store::file_in(folder / "killed"))) continue;
    // What it told is there, and at most the sample after it.
    uint64_t stored = 0;
    Store store = Store::to_write(folder / "killed");
    for (const StoredRun& run : store.runs()) stored += run.samples;
    EXPECT_GE(stored, before + told);
    EXPECT_LE(stored, before + told + 1);
    before = stored;
  }
  EXPECT_GT(before, 20u);
  EXPECT_LT(before, 2 * kSamples);
  write_samples(folder / "killed", -1);
  EXPECT_EQ(content(folder / "killed"), content(folder / "undisturbed"));
}

}  // namespace
}  // namespace sluice
