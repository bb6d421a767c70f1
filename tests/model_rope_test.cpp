// RoPE's frequencies against values worked out by hand from the published rules.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/model/rope_scaling.h"

namespace sluice {
namespace {

TEST(Rope, PlainFrequenciesArePowersOfTheBase) {
  const std::vector<float> frequency = rope_frequencies(10000, 8, {});
  ASSERT_EQ(frequency.size(), 4u);
  EXPECT_FLOAT_EQ(frequency[0], 1);
  EXPECT_FLOAT_EQ(frequency[1], 0.1f);
  EXPECT_FLOAT_EQ(frequency[2], 0.01f);
  EXPECT_FLOAT_EQ(frequency[3], 0.001f);
}

TEST(Rope, LinearDividesAll) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kLinear;
  scaling.factor = 4;
  const std::vector<float> frequency = rope_frequencies(10000, 8, scaling);
  EXPECT_FLOAT_EQ(frequency[0], 0.25f);
  EXPECT_FLOAT_EQ(frequency[3], 0.00025f);
  EXPECT_EQ(describe(scaling), "linear x4");
}

TEST(Rope, Llama3KeepsFastPairsAndStretchesSlowOnes) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kLlama3;
  scaling.factor = 8;
  scaling.low_frequency_factor = 1;
  scaling.high_frequency_factor = 4;
  scaling.original_context = 8192;
  const std::vector<float> plain = rope_frequencies(500000, 128, {}), scaled = rope_frequencies(500000, 128, scaling);
  uint32_t kept = 0, stretched = 0, blended = 0;
  for (uint32_t i = 0; i < 64; i++) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    if (wavelength < 8192 / 4.0) {
      EXPECT_FLOAT_EQ(scaled[i], plain[i]);
      kept++;
    } else if (wavelength > 8192) {
      EXPECT_FLOAT_EQ(scaled[i], plain[i] / 8);
      stretched++;
    } else {  // the rule as it is published, with a share of each
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      EXPECT_FLOAT_EQ(scaled[i], float((1 - smooth) * plain[i] / 8 + smooth * plain[i]));
      blended++;
    }
  }
  EXPECT_EQ(kept + stretched + blended, 64u);
  EXPECT_GT(kept, 20u);
  EXPECT_GT(stretched, 20u);
  EXPECT_GT(blended, 2u);
  EXPECT_EQ(describe(scaling), "llama3 x8");
}

TEST(Rope, FactorsDividePairByPair) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kFactors;
  scaling.factors = {1, 2, 4, 8};
  const std::vector<float> frequency = rope_frequencies(10000, 8, scaling);
  EXPECT_FLOAT_EQ(frequency[0], 1);
  EXPECT_FLOAT_EQ(frequency[1], 0.05f);
  EXPECT_FLOAT_EQ(frequency[2], 0.0025f);
  EXPECT_FLOAT_EQ(frequency[3], 0.000125f);
  EXPECT_EQ(describe(scaling), "llama3 x8");
}

}  // namespace
}  // namespace sluice
