// The progress line on a screen and a clock of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/progress.h"

namespace sluice {
namespace {

struct Fake {
  double now = 100;
  unsigned columns = 80;
  std::string written;
  Progress::Screen screen(bool terminal = true, bool styled = false) {
    return {terminal, styled, [this] { return columns; }, [this] { return now; },
            [this](std::string_view text) { written += text; }};
  }
};

TEST(Progress, ShortWorkShowsNothing) {
  Fake fake;
  {
    Progress progress(10, "compare", fake.screen());
    for (int i = 0; i < 10; ++i) fake.now += 0.19, progress.advance();
  }
  EXPECT_EQ(fake.written, "");
}

TEST(Progress, LongWorkSaysWhenItEndsAndClears) {
  Fake fake;
  {
    Progress progress(100, "compare", fake.screen());
    fake.now += 10;
    progress.advance(25, "31.2 tok/s");
    EXPECT_EQ(fake.written, "\rcompare 25/100  25 %  ETA 30 s  31.2 tok/s\x1b[K");
    fake.written.clear();
    fake.now += 0.05;
    progress.advance();  // too soon to draw again
    EXPECT_EQ(fake.written, "");
    fake.now += 0.1;
    progress.advance();
    EXPECT_THAT(fake.written, ::testing::StartsWith("\rcompare 27/100"));
    fake.written.clear();
  }
  EXPECT_EQ(fake.written, "\r\x1b[K");
}

TEST(Progress, NoTerminalNoLine) {
  Fake fake;
  Progress progress(100, "compare", fake.screen(false));
  fake.now += 60;
  progress.advance(50);
  progress.clear();
  EXPECT_EQ(fake.written, "");
}

TEST(Progress, FitsTheTerminal) {
  Fake fake;
  fake.columns = 12;
  Progress progress(100, "größenordnung", fake.screen());
  fake.now += 3;
  progress.advance();
  EXPECT_EQ(fake.written, "\rgrößenordnu\x1b[K");
}

TEST(Progress, StyleIsOptional) {
  Fake fake;
  Progress progress(0, "load", fake.screen(true, true));
  fake.now += 3;
  progress.advance(7);
  EXPECT_EQ(fake.written, "\r\x1b[1mload\x1b[0m 7\x1b[K");
}

TEST(Progress, MoreThanPromisedIsNoDisaster) {
  Fake fake;
  Progress progress(2, "x", fake.screen());
  fake.now += 3;
  progress.advance(5);
  EXPECT_EQ(fake.written, "\rx 5/2  100 %  ETA 0 s\x1b[K");
}

TEST(DurationText, ForPeopleWaiting) {
  EXPECT_EQ(duration_text(-1), "0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(3900), "1 h 05 min");
  EXPECT_EQ(duration_text(1e12), "long");
}

}  // namespace
}  // namespace sluice
