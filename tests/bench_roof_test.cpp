// What a roof is compared with, by given numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/bench/roof.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

Roof roof(double bandwidth, double floats = 200e9, double integers = 900e9) { return {bandwidth, {floats, integers}}; }

TEST(BenchRoof, ChangesOfMoreThanATenthMakeARunVoid) {
  EXPECT_EQ(roof_change(roof(30e9), roof(30e9)), "");
  EXPECT_EQ(roof_change(roof(30e9), roof(32.9e9)), "");
  EXPECT_EQ(roof_change(roof(30e9), roof(27.1e9)), "");
  EXPECT_EQ(roof_change(roof(30e9), roof(33.1e9)), "this machine read 30.0 GB/s before the tests and 33.1 after them");
  EXPECT_THAT(roof_change(roof(30e9), roof(26.9e9)), HasSubstr("26.9 after"));
  EXPECT_THAT(roof_change(roof(30e9), roof(30e9, 170e9)), HasSubstr("did 200.0 GFLOP/s before the tests and 170.0"));
  EXPECT_THAT(roof_change(roof(30e9), roof(30e9, 200e9, 1000e9)), HasSubstr("did 900.0 GOP/s in integers"));
}

TEST(BenchRoof, WhatIsNotKnownIsNotCompared) {
  EXPECT_EQ(roof_change(roof(30e9, kUnknown, kUnknown), roof(30e9, kUnknown, kUnknown)), "");
  EXPECT_EQ(roof_between(roof(30e9), roof(34e9)).bandwidth, 32e9);
  EXPECT_EQ(roof_between(roof(30e9), {}).bandwidth, 30e9);
  EXPECT_TRUE(std::isnan(roof_between({}, {}).multiply.floats));
}

TEST(BenchRoof, TheBufferIsLargerThanCachesAndFitsMemory) {
  constexpr uint64_t kMiB = 1 << 20;
  EXPECT_EQ(roof_buffer_bytes(32 * kMiB, uint64_t(64) << 30), 256 * kMiB);
  EXPECT_EQ(roof_buffer_bytes(1 * kMiB, uint64_t(64) << 30), 64 * kMiB);
  EXPECT_EQ(roof_buffer_bytes(256 * kMiB, uint64_t(4) << 30), 1024 * kMiB) << "a quarter of what is free";
  EXPECT_GT(last_level_cache(), 0u);
}

// A backend names its kernels as it likes; only those of an instruction set have a peak.
TEST(BenchRoof, PeaksBelongToInstructionSets) {
  ThreadPool pool(1);
  EXPECT_TRUE(std::isnan(multiply_peak(pool, "sm_90").floats));
  EXPECT_TRUE(std::isnan(multiply_peak(pool, "").integers));
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_GT(multiply_peak(pool, "portable").floats, 0);
  EXPECT_GT(multiply_peak(pool, "portable").integers, 0);
#endif
}

}  // namespace
}  // namespace sluice
