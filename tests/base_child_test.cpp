// Child processes: how waiting for one ends, and what it costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>

#include "core/base/child_process.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto seconds = [](const timeval& time) { return double(time.tv_sec) + 1e-6 * double(time.tv_usec); };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

TEST(Child, LeavesWhatItSaid) {
  const ChildEnd end = run_child({"/bin/sh", "-c", "echo out; echo err >&2; printf answer >&3; exit 7"}, 60);
  EXPECT_EQ(end.how, ChildEnd::How::kExit);
  EXPECT_EQ(end.code, 7);
  EXPECT_EQ(end.answer, "answer");
  EXPECT_EQ(end.output, "out\nerr\n");
}

// A closed pipe is ready for ever; a wait that minds it takes a processor for itself. Sleeping takes next to nothing of
// one, and a quarter is far from both.
TEST(Child, IsWaitedForAsleepWhicheverPipeItCloses) {
  for (const char* closes : {"exec 3>&-", "exec >&- 2>&-", "exec 3>&- >&- 2>&-"}) {
    const double before = processor_seconds();
    const ChildEnd end = run_child({"/bin/sh", "-c", std::string(closes) + "; sleep 0.4; exit 3"}, 60);
    EXPECT_LT(processor_seconds() - before, end.seconds / 4) << closes;
    EXPECT_EQ(end.code, 3);
  }
}

TEST(Child, SaysMoreAfterOneOfItsPipesIsClosed) {
  const ChildEnd end = run_child({"/bin/sh", "-c", "exec >&- 2>&-; sleep 0.1; printf late >&3"}, 60);
  EXPECT_EQ(end.answer, "late");
}

TEST(Child, IsKilledWhenItIsToStop) {
  const std::atomic<bool> stop{true};
  const ChildEnd end = run_child({"/bin/sleep", "1000000"}, 1e6, &stop);
  EXPECT_EQ(end.how, ChildEnd::How::kSignal);
  EXPECT_EQ(end.code, SIGKILL);
  EXPECT_THAT(signal_text(end.code), HasSubstr("(signal 9)"));
}

}  // namespace
}  // namespace sluice
