// Other processes' share of the machine, by given texts of /proc.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

#include "core/bench/foreign_cpu.h"

namespace sluice {
namespace {

TEST(BenchForeignCpu, TicksAreReadFromTheFirstLine) {
  const auto ticks = parse_cpu_ticks("cpu  100 20 30 1000 50 6 7 8 90 2\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
  ASSERT_TRUE(ticks);
  EXPECT_EQ(ticks->busy, 100u + 20 + 30 + 6 + 7 + 8) << "without idle and waiting; guests are users already";
  EXPECT_EQ(ticks->all, ticks->busy + 1000 + 50);
  const auto old = parse_cpu_ticks("cpu 1 2 3 4\n");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->busy, 6u);
  EXPECT_EQ(old->all, 10u);
  for (const char* text : {"", "cpu0 1 2 3 4\n", "cpu 1 2 3\n", "cpu one two\n", "intr 5\n"})
    EXPECT_FALSE(parse_cpu_ticks(text)) << text;
}

TEST(BenchForeignCpu, AProcesssTimeIsFoundBehindAnyName) {
  const std::string after = " S 1 77 77 0 -1 4194304 500 0 2 0 123 45 6 7 20 0 3 0 99 1000 20 1";
  EXPECT_EQ(parse_process_ticks("77 (driver)" + after), 168u);
  EXPECT_EQ(parse_process_ticks("77 (a ) S 9 9 9)" + after), 168u) << "a name may hold anything";
  for (const char* text : {"", "77 (driver", "77 (driver) S", "77 (driver) S 1 2 3"})
    EXPECT_FALSE(parse_process_ticks(text)) << text;
  std::ifstream own("/proc/self/stat");
  if (own) {
    EXPECT_TRUE(parse_process_ticks(std::string(std::istreambuf_iterator<char>(own), {})));
  }
}

TEST(BenchForeignCpu, WhatIsNotOursIsForeign) {
  const CpuTicks before{1000, 10000}, after{1060, 10100};
  EXPECT_DOUBLE_EQ(foreign_share(before, after, 60), 0);
  EXPECT_DOUBLE_EQ(foreign_share(before, after, 50), 0.1);
  EXPECT_DOUBLE_EQ(foreign_share(before, after, 0), 0.6);
  EXPECT_DOUBLE_EQ(foreign_share(before, after, 63.5), 0) << "ticks are coarser than what we know of ourselves";
  EXPECT_TRUE(std::isnan(foreign_share(before, before, 0))) << "no tick, no share";
}

}  // namespace
}  // namespace sluice
