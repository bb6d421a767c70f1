// uneven, a codec of plugins/examples: which channels of K get the wider codes, and that V is coded as turboquant codes
// rows. What every codec must do is tested with the built-in ones.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/support/codec_driver.h"

namespace sluice::testing {
namespace {

// A channel of a block as one group of `bits`: what every row must decode to.
Rows reference_channel(const Rows& x, uint32_t d, uint32_t channel, int bits) {
  Rows column;
  for (size_t at = channel; at < x.size(); at += d) column.push_back(x[at]);
  const auto [low, high] = std::minmax_element(column.begin(), column.end());
  const float zero = to_half_and_back(*low), scale = to_half_and_back((*high - *low) / float((1 << bits) - 1));
  for (float& v : column) {
    const float code = std::clamp(std::nearbyint((v - zero) / scale), 0.0f, float((1 << bits) - 1));
    const float product = code * scale;
    v = product + zero;
  }
  return column;
}

float range(const Rows& x, uint32_t d, uint32_t channel) {
  float low = x[channel], high = low;
  for (size_t at = channel; at < x.size(); at += d) low = std::min(low, x[at]), high = std::max(high, x[at]);
  return high - low;
}

TEST(ExampleCodecUneven, TheHalfWithTheLargerRangesIsCodedWider) {
  for (const uint32_t d : {32u, 64u, 96u, 128u, 256u}) {
    const CodecDriver codec("uneven", {{"wide", 4}, {"narrow", 2}}, d);
    const Rows x = key_like_rows(64, d, 5), back = codec.decode(codec.encode(SLUICE_KEY, x));
    std::vector<uint32_t> order(d);
    for (uint32_t c = 0; c < d; c++) order[c] = c;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return range(x, d, a) > range(x, d, b); });
    const uint32_t wide = d / 2 / 32 * 32;  // codes come in runs of 32
    for (uint32_t i = 0; i < d; i++) {
      const Rows expected = reference_channel(x, d, order[i], i < wide ? 4 : 2);
      for (uint32_t r = 0; r < 64; r++)
        ASSERT_EQ(back[r * d + order[i]], expected[r]) << "head_dim " << d << ", place " << i << " by range";
    }
  }
}

double squared_error(const CodecDriver& codec, const Rows& x) {
  const Rows back = codec.decode(codec.encode(SLUICE_KEY, x));
  double sum = 0;
  for (size_t i = 0; i < x.size(); i++) sum += (double(x[i]) - back[i]) * (double(x[i]) - back[i]);
  return sum;
}

// What the method rests on: at the same mean width, unlike channels lose less, and channels that are alike lose more.
TEST(ExampleCodecUneven, PaysWhereChannelsDiffer) {
  const uint32_t d = 64;
  const CodecDriver uneven("uneven", {{"wide", 4}, {"narrow", 2}}, d), group("group", {{"bits", 3}}, d);
  Rows alike = random_rows(64, d, 1), unlike = alike;
  for (size_t i = 0; i < unlike.size(); i++)
    if (i % 2) unlike[i] = to_half_and_back(unlike[i] * 8);
  EXPECT_LT(squared_error(uneven, unlike), 0.5 * squared_error(group, unlike));
  EXPECT_GT(squared_error(uneven, alike), squared_error(group, alike));
}

TEST(ExampleCodecUneven, ValuesAreCodedAsTurboquantCodesRows) {
  for (const uint32_t d : {64u, 96u})
    for (const int bits : {2, 3, 4}) {
      const CodecDriver uneven("uneven", {{"value_bits", bits}, {"seed", 9}}, d);
      const CodecDriver turboquant("turboquant", {{"bits", bits}, {"seed", 9}}, d);
      const Rows x = random_rows(64, d, 4);
      EXPECT_EQ(uneven.encode(SLUICE_VALUE, x).bytes(), turboquant.encode(SLUICE_VALUE, x).bytes());
    }
}

TEST(ExampleCodecUneven, KeysTakeTheirCodesPairsAndABitPerChannel) {
  for (const uint32_t d : {64u, 128u, 256u}) {
    const CodecDriver codec("uneven", {{"wide", 4}, {"narrow", 3}}, d);
    const sluice_account account = codec.account(codec.encode(SLUICE_KEY, random_rows(64, d, 1)));
    EXPECT_EQ(account.codes, 64 * (d / 2 * 4 + d / 2 * 3) / 8);
    EXPECT_EQ(account.scales, 4 * d);
    EXPECT_EQ(account.index, d / 8);
    EXPECT_LT(account.padding, 64u);
    const CodecDriver even("uneven", {{"wide", 4}, {"narrow", 4}}, d);
    EXPECT_EQ(even.account(even.encode(SLUICE_KEY, random_rows(64, d, 1))).index, 0u) << "nothing to tell apart";
  }
}

TEST(ExampleCodecUneven, RefusesNarrowChannelsThatAreWider) {
  try {
    CodecDriver("uneven", {{"wide", 2}, {"narrow", 4}}, 64);
    FAIL() << "it was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("wide = 2 is less than narrow = 4")) << error.what();
  }
}

}  // namespace
}  // namespace sluice::testing
