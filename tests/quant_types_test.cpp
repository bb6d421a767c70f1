// The weight types of gguf_types.h against golden blocks of the Python package `gguf`, bit for bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

struct Golden {
  uint32_t type = 0;
  std::vector<uint8_t> blocks;
  std::vector<float> values;
};

std::vector<Golden> read_golden() {
  const std::string file = read_file(std::string(SLUICE_TEST_DATA) + "/quant/blocks.bin");
  std::vector<Golden> all;
  for (size_t at = 0; at < file.size();) {
    uint32_t head[3];  // type, values, bytes
    std::memcpy(head, file.data() + at, sizeof head);
    at += sizeof head;
    Golden g{head[0], std::vector<uint8_t>(head[2]), std::vector<float>(head[1])};
    std::memcpy(g.blocks.data(), file.data() + at, head[2]);
    at += head[2];
    std::memcpy(g.values.data(), file.data() + at, 4 * size_t(head[1]));
    at += 4 * size_t(head[1]);
    all.push_back(std::move(g));
  }
  return all;
}

TEST(WeightTypes, EqualThePythonPackageOnGoldenBlocks) {
  std::set<uint32_t> seen;
  for (const Golden& g : read_golden()) {
    const sluice_gguf_type* info = sluice_gguf_type_info(g.type);
    ASSERT_NE(info, nullptr) << g.type;
    seen.insert(g.type);
    ASSERT_EQ(g.blocks.size(), g.values.size() / info->block * info->bytes) << info->name;
    // One byte off: layouts must not ask for alignment.
    std::vector<uint8_t> moved(g.blocks.size() + 1);
    std::memcpy(moved.data() + 1, g.blocks.data(), g.blocks.size());
    std::vector<float> values(g.values.size(), -1);
    sluice_gguf_dequantize(g.type, moved.data() + 1, values.size(), values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(g.values[i])) {
        EXPECT_TRUE(std::isnan(values[i])) << info->name << " value " << i;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(g.values[i]))
            << info->name << " value " << i << ": " << values[i] << " instead of " << g.values[i];
      }
    }
  }
  for (uint32_t i = 0; const sluice_gguf_type* info = sluice_gguf_type_at(i); ++i) {
    EXPECT_TRUE(seen.count(info->type)) << info->name;
  }
  EXPECT_EQ(seen.size(), 14u);
}

TEST(WeightTypes, BlockStructsHaveTheSizeOfTheBlocks) {
  EXPECT_EQ(sizeof(sluice_q4_0), sluice_gguf_type_info(SLUICE_GGUF_Q4_0)->bytes);
  EXPECT_EQ(sizeof(sluice_q4_1), sluice_gguf_type_info(SLUICE_GGUF_Q4_1)->bytes);
  EXPECT_EQ(sizeof(sluice_q5_0), sluice_gguf_type_info(SLUICE_GGUF_Q5_0)->bytes);
  EXPECT_EQ(sizeof(sluice_q5_1), sluice_gguf_type_info(SLUICE_GGUF_Q5_1)->bytes);
  EXPECT_EQ(sizeof(sluice_q8_0), sluice_gguf_type_info(SLUICE_GGUF_Q8_0)->bytes);
  EXPECT_EQ(sizeof(sluice_iq4_nl), sluice_gguf_type_info(SLUICE_GGUF_IQ4_NL)->bytes);
  EXPECT_EQ(sizeof(sluice_q2_k), sluice_gguf_type_info(SLUICE_GGUF_Q2_K)->bytes);
  EXPECT_EQ(sizeof(sluice_q3_k), sluice_gguf_type_info(SLUICE_GGUF_Q3_K)->bytes);
  EXPECT_EQ(sizeof(sluice_q4_k), sluice_gguf_type_info(SLUICE_GGUF_Q4_K)->bytes);
  EXPECT_EQ(sizeof(sluice_q5_k), sluice_gguf_type_info(SLUICE_GGUF_Q5_K)->bytes);
  EXPECT_EQ(sizeof(sluice_q6_k), sluice_gguf_type_info(SLUICE_GGUF_Q6_K)->bytes);
}

// By the definition: (-1)^sign 2^(exponent - 15) 1.mantissa, below 2^-14 multiples of 2^-24; and back again.
TEST(WeightTypes, HalfFloatsAreTheirDefinition) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 0x3FF;
    const float x = sluice_from_half(uint16_t(h));
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(x), mantissa != 0);
      EXPECT_EQ(std::isinf(x), mantissa == 0);
      continue;
    }
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, int(exponent) - 25);
    EXPECT_EQ(double(x), h >> 15 ? -magnitude : magnitude);
    EXPECT_EQ(std::signbit(x), h >> 15 != 0);
    EXPECT_EQ(sluice_to_half(x), h);
  }
}

TEST(WeightTypes, UnknownTypesAreUnknown) {
  EXPECT_EQ(sluice_gguf_type_info(4), nullptr);
  EXPECT_EQ(sluice_gguf_type_info(0xFFFFFFFFu), nullptr);
  float untouched = 7;
  sluice_gguf_dequantize(4, "abcd", 1, &untouched);
  EXPECT_EQ(untouched, 7);
}

}  // namespace
}  // namespace sluice
