// Oracles 1 to 10 of the algorithms page that concern codecs, against the slow reference. Those that hold for every
// codec alike (4, 12, 13, 21) are checks, which codec_contract_test.cpp runs.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/codec_driver.h"
#include "tests/support/codec_reference.h"
#include "tests/support/shared_data.h"

namespace sluice::testing {
namespace {

using reference::Matrix;
using reference::Vector;

Matrix matrix(const Rows& x, uint32_t columns) {
  Matrix m;
  for (size_t r = 0; r < x.size() / columns; r++)
    m.emplace_back(x.begin() + ptrdiff_t(r * columns), x.begin() + ptrdiff_t((r + 1) * columns));
  return m;
}
// Codes of a block of uniform or group, which end it.
std::vector<std::vector<int>> codes_of(const CodecDriver& codec, const Coded& coded, uint32_t bits) {
  const size_t row_bytes = codec.head_dim * bits / 8;
  const unsigned char* at = coded.memory.data() + coded.memory.size() - row_bytes * coded.block.rows;
  std::vector<std::vector<int>> codes;
  for (uint32_t r = 0; r < coded.block.rows; r++, at += row_bytes) {
    std::vector<uint8_t> row(codec.head_dim);
    sluice_unpack_portable(bits, codec.head_dim, at, row.data());
    codes.emplace_back(row.begin(), row.end());
  }
  return codes;
}
// Decoding rounds a product and a sum to float.
void expect_decoded(const Rows& decoded, const Matrix& expected, double magnitude) {
  const size_t columns = expected[0].size();
  for (size_t i = 0; i < decoded.size(); i++)
    ASSERT_NEAR(decoded[i], expected[i / columns][i % columns], 1.2e-7 * magnitude)
        << "row " << i / columns << " column " << i % columns;
}
double largest(const Rows& x) {
  double most = 0;
  for (float v : x) most = std::max(most, double(std::fabs(v)));
  return most;
}

// Vectors of all kinds that half floats can hold.
std::vector<Rows> vectors_of_all_kinds(uint32_t d) {
  std::vector<Rows> all;
  for (uint32_t i = 0; i < 8; i++) all.push_back(random_rows(1, d, i, std::exp2(float(i * 3) - 12)));
  for (float scale : {5.9604645e-8f, 1e-6f, 6e-5f}) all.push_back(random_rows(1, d, 77, scale));  // subnormal halves
  for (float constant : {0.0f, 1.0f, -65504.0f, 5.9604645e-8f, 0.333251953125f}) all.emplace_back(d, constant);
  Rows extremes(d, 0.0f);
  extremes[0] = 65504, extremes[1] = -65504;
  all.push_back(extremes);
  Rows one_off(d, 100.0f);
  one_off[d / 2] = 100.0625f;
  all.push_back(one_off);
  return all;
}

TEST(CodecOracle, O01_ErrorIsWithinHalfAStepAndRounding) {
  for (int bits : {2, 3, 4, 8})
    for (uint32_t d : {32u, 64u, 128u}) {
      const CodecDriver codec("uniform", {{"bits", bits}}, d);
      for (const Rows& x : vectors_of_all_kinds(d)) {
        const Rows back = codec.decode(codec.encode(SLUICE_KEY, x));
        const auto [low, high] = std::minmax_element(x.begin(), x.end());
        const double range = double(*high) - *low, scale = reference::half(float(range) / float((1 << bits) - 1));
        const double bound = scale / 2 + std::exp2(-11) * (std::fabs(*low) + range) + std::exp2(bits - 25);
        for (uint32_t c = 0; c < d; c++) {
          ASSERT_TRUE(std::isfinite(back[c]));
          ASSERT_LE(std::fabs(double(x[c]) - back[c]), range == 0 ? 0 : bound) << bits << " bits, column " << c;
        }
      }
    }
}

TEST(CodecOracle, O02_CodesAreTheReferencesAndReachBothEnds) {
  for (int bits : {2, 3, 4, 8})
    for (uint32_t d : {32u, 96u}) {
      const CodecDriver codec("uniform", {{"bits", bits}}, d);
      for (const Rows& x : vectors_of_all_kinds(d)) {
        const Coded coded = codec.encode(SLUICE_VALUE, x);
        const reference::Quantized q = reference::quantize(matrix(x, d)[0], uint32_t(bits));
        const std::vector<int> codes = codes_of(codec, coded, uint32_t(bits))[0];
        ASSERT_EQ(codes, q.codes);
        expect_decoded(codec.decode(coded), {q.restored}, largest(x) * 3);
        if (q.scale < 6.2e-5) continue;  // a subnormal scale need not reach the ends
        const auto low = std::min_element(x.begin(), x.end()) - x.begin(),
                   high = std::max_element(x.begin(), x.end()) - x.begin();
        EXPECT_EQ(codes[size_t(low)], 0);
        EXPECT_EQ(codes[size_t(high)], (1 << bits) - 1);
      }
    }
}

TEST(CodecOracle, O02_GoldenVectors) {
  struct Golden {
    int bits;
    std::vector<float> x;
    double scale, zero;
    std::vector<int> codes;
    std::vector<double> back;
  };
  const Golden all[] = {
      {2, {-1, -0.25, 0.5, 2}, 1, -1, {0, 1, 2, 3}, {-1, 0, 1, 2}},
      {4, {0, 2.5, 5, 15}, 1, 0, {0, 2, 5, 15}, {0, 2, 5, 15}},
      {2, {3, 3, 3, 3}, 0, 3, {0, 0, 0, 0}, {3, 3, 3, 3}},
      {4,
       {-.1f, .2f, .7f, .9f, -.4f, 0, .33f, 1.1f},
       0.0999755859375,
       -0.39990234375,
       {3, 6, 11, 13, 0, 4, 7, 15},
       {-.09998, .19995, .69983, .89978, -.39990, 0, .29993, 1.09973}},
  };
  for (const Golden& g : all) {
    const CodecDriver codec("uniform", {{"bits", g.bits}}, 32);
    Rows x;
    for (uint32_t i = 0; i < 32; i++) x.push_back(g.x[i % g.x.size()]);
    const Coded coded = codec.encode(SLUICE_KEY, x);
    uint16_t pair[2];
    std::memcpy(pair, coded.memory.data(), sizeof pair);
    EXPECT_EQ(sluice_from_half(pair[0]), g.scale);
    EXPECT_EQ(sluice_from_half(pair[1]), g.zero);
    const Rows back = codec.decode(coded);
    const std::vector<int> codes = codes_of(codec, coded, uint32_t(g.bits))[0];
    for (size_t i = 0; i < 32; i++) {
      EXPECT_EQ(codes[i], g.codes[i % g.codes.size()]);
      EXPECT_NEAR(back[i], g.back[i % g.back.size()], 1e-5);
    }
  }
}

// Scales by powers of two and shifts that half floats hold exactly leave pairs exact, so codes may not change.
TEST(CodecOracle, O03_CodesSurviveScalingAndShifting) {
  for (int bits : {2, 3, 4, 8}) {
    const CodecDriver codec("uniform", {{"bits", bits}}, 64);
    std::mt19937 engine{uint32_t(bits)};
    Rows x(64);
    for (float& v : x) v = float(engine() % 256) / 16 * float((1 << bits) - 1) / 255;
    for (float& v : x) v = to_half_and_back(v);
    x[0] = 0, x[1] = float((1 << bits) - 1) / 16;  // the scale is 1/16
    for (float& v : x) v = std::min(v, x[1]);
    const auto codes = codes_of(codec, codec.encode(SLUICE_KEY, x), uint32_t(bits));
    for (const auto& [alpha, beta] : {std::pair{4.0f, 0.0f}, {0.125f, 0.0f}, {1.0f, 0.0f}, {1.0f, 0.5f}}) {
      Rows y = x;
      bool exact = true;
      for (float& v : y) {
        v = alpha * v + beta;
        exact = exact && to_half_and_back(v) == v;
      }
      if (beta != 0 && !exact)
        for (size_t i = 0; i < 64; i++) y[i] = to_half_and_back(y[i]);
      const auto moved = codes_of(codec, codec.encode(SLUICE_KEY, y), uint32_t(bits));
      if (exact) {
        EXPECT_EQ(moved, codes) << alpha << " x + " << beta;
      }
    }
  }
}

TEST(CodecOracle, UniformAgreesWithTheReferenceOnEveryAxis) {
  for (int bits : {2, 3, 4, 8})
    for (uint32_t d : {32u, 64u, 128u}) {
      const Rows x = key_like_rows(64, d, d);
      const struct {
        const char* axis;
        size_t rows, columns;
      } axes[] = {{"token", 1, d}, {"channel", 64, 1}, {"tensor", 64, d}};
      for (const auto& axis : axes) {
        const CodecDriver codec("uniform", {{"bits", bits}, {"axis", axis.axis}}, d);
        const reference::Backbone expected =
            reference::quantize_tiles(matrix(x, d), uint32_t(bits), axis.rows, axis.columns);
        for (uint32_t side : {0u, 1u}) {
          const Coded coded = codec.encode(side, x);
          EXPECT_EQ(codes_of(codec, coded, uint32_t(bits)), expected.codes);
          expect_decoded(codec.decode(coded), expected.restored, 3 * largest(x));
        }
      }
    }
}

TEST(CodecOracle, GroupAgreesWithTheReference) {
  for (int bits : {2, 3, 4, 8})
    for (uint32_t d : {32u, 64u, 96u, 128u, 256u})
      for (int group : {32, 64, 96, 128}) {
        if (d % uint32_t(group)) continue;
        const CodecDriver codec("group", {{"bits", bits}, {"group", group}, {"residual", 2 * group}}, d);
        const Rows x = key_like_rows(uint32_t(2 * group), d, d + uint32_t(group));
        for (bool key : {true, false}) {
          const reference::Backbone expected =
              reference::quantize_group(matrix(x, d), uint32_t(bits), key, size_t(group));
          const Coded coded = codec.encode(key ? SLUICE_KEY : SLUICE_VALUE, x);
          EXPECT_EQ(codes_of(codec, coded, uint32_t(bits)), expected.codes);
          expect_decoded(codec.decode(coded), expected.restored, 3 * largest(x));
        }
      }
}

// The host's rule over each codec's plan, for every length of prompt: what is coded and what gathers add up, the K
// tail is a sawtooth, V's as its window says, and no row is coded twice.
TEST(CodecOracle, O05_RowsAreCodedOnceAndTheTailIsAsPlanned) {
  for (const bool sliding : {false, true}) {
    const uint32_t residual = 64;
    const CodecDriver codec(
        "group", {{"group", 32}, {"residual", int(residual)}, {"value_window", sliding ? "sliding" : "sawtooth"}}, 64);
    for (uint32_t side : {0u, 1u}) {
      const sluice_codec_plan plan = codec.plan(side);
      const bool slides = sliding && side == SLUICE_VALUE;
      EXPECT_EQ(plan.block_rows, slides ? 1 : residual);
      EXPECT_EQ(plan.residual, slides ? residual : 0);
      for (uint32_t prompt = 0; prompt <= 3 * residual + 1; prompt++) {
        uint32_t coded = 0, dense = 0;
        const auto code = [&] {
          while (dense >= plan.residual + plan.block_rows) coded += plan.block_rows, dense -= plan.block_rows;
        };
        dense = prompt, code();
        for (uint32_t step = 0; step < 2 * residual + 3; step++) {
          dense++, code();
          ASSERT_EQ(coded + dense, prompt + step + 1);
          ASSERT_EQ(dense, slides ? std::min(prompt + step + 1, residual) : (prompt + step + 1) % residual);
        }
      }
    }
  }
}

// Rows coded as one prompt or block by block decode to the same bits where pairs are not shared across blocks.
TEST(CodecOracle, O06_PromptAndDecodeGiveTheSameRows) {
  const uint32_t d = 64, n = 192;
  const Rows x = key_like_rows(n, d, 6);
  const std::pair<const char*, CodecParameters> codecs[] = {
      {"uniform", {}}, {"group", {{"bits", 2}, {"group", 32}}}, {"group", {{"value_window", "sliding"}}}};
  for (const auto& [name, params] : codecs)
    for (uint32_t side : {0u, 1u}) {
      const CodecDriver codec(name, params, d);
      const Rows whole = codec.decode(codec.encode(side, x, 1, 1));
      const uint32_t step = codec.plan(side).block_rows;
      Rows parts;
      for (uint32_t r = 0; r < n; r += step) {
        const Rows block(x.begin() + r * d, x.begin() + (r + step) * d);
        const Rows back = codec.decode(codec.encode(side, block, r));
        parts.insert(parts.end(), back.begin(), back.end());
      }
      EXPECT_EQ(whole, parts) << name << " side " << side;
    }
}

// The first keys of the real model's layer 0: scale, zero and codes at 4 bits.
TEST(CodecOracle, RealModelCodes) {
  SLUICE_NEED_SHARED(path, "data/models/smollm2-135m-instruct-q4_1/policy_layer0.json");
  std::ifstream file(path);
  const auto data = nlohmann::json::parse(file);
  const CodecDriver codec("uniform", {{"bits", 4}}, 64);
  uint32_t seen = 0;
  for (const auto& [position, expected] : data.at("uniform4_k_head0").items()) {
    Rows row = data.at("k_head0").at(position).get<Rows>();
    for (float& v : row) v = to_half_and_back(v);
    const Coded coded = codec.encode(SLUICE_KEY, row);
    uint16_t pair[2];
    std::memcpy(pair, coded.memory.data(), sizeof pair);
    EXPECT_EQ(sluice_from_half(pair[0]), expected.at("scale").get<float>()) << "position " << position;
    EXPECT_EQ(sluice_from_half(pair[1]), expected.at("zero").get<float>()) << "position " << position;
    EXPECT_EQ(codes_of(codec, coded, 4)[0], expected.at("codes").get<std::vector<int>>()) << "position " << position;
    seen++;
  }
  EXPECT_GT(seen, 0u);
}

// A block's bytes: codes and pairs and nothing else where they fill whole lines.
TEST(CodecOracle, BytesOfUniformAndGroup) {
  struct Expected {
    const char* name;
    CodecParameters params;
    uint32_t head_dim, side;
    uint64_t codes, scales;
  };
  const Expected all[] = {
      {"uniform", {{"bits", 4}}, 64, 0, 64 * 32, 64 * 4},
      {"uniform", {{"bits", 8}}, 128, 1, 64 * 128, 64 * 4},
      {"uniform", {{"bits", 4}, {"axis", "tensor"}}, 128, 0, 64 * 64, 4},
      {"uniform", {{"bits", 3}, {"axis", "channel"}}, 64, 1, 64 * 24, 64 * 4},
      {"group", {{"bits", 2}}, 64, 0, 64 * 16, 64 * 4},
      {"group", {{"bits", 2}}, 64, 1, 64 * 16, 64 * 4},
      {"group", {{"bits", 2}}, 128, 0, 64 * 32, 128 * 4},
      {"group", {{"bits", 2}}, 128, 1, 64 * 32, 64 * 2 * 4},
      {"group", {{"bits", 4}, {"group", 32}, {"residual", 128}}, 128, 0, 128 * 64, 4 * 128 * 4},
  };
  for (const Expected& e : all) {
    const CodecDriver codec(e.name, e.params, e.head_dim);
    const Coded coded = codec.encode(e.side, random_rows(codec.plan(e.side).block_rows, e.head_dim, 1));
    const sluice_account account = codec.account(coded);
    EXPECT_EQ(account.codes, e.codes);
    EXPECT_EQ(account.scales, e.scales);
    EXPECT_EQ(
        account.index + account.low_rank + account.outlier_values + account.outlier_indices + account.row_pointers, 0u);
    EXPECT_EQ(coded.memory.size(), (e.codes + e.scales + 63) / 64 * 64);
  }
}

// Groups without survivors go, and their pairs with them.
TEST(CodecOracle, O21_EmptyGroupsLeaveTheBlock) {
  const CodecDriver codec("group", {{"bits", 2}, {"group", 32}, {"residual", 128}}, 64);
  Coded coded = codec.encode(SLUICE_KEY, key_like_rows(128, 64, 1));
  EXPECT_EQ(codec.account(coded).scales, 4u * 64 * 4);
  std::vector<uint32_t> keep;
  for (uint32_t r = 0; r < 128; r++)
    if (r / 32 == 1 || r == 100) keep.push_back(r);
  codec.retain(coded, keep);
  EXPECT_EQ(codec.account(coded).scales, 2u * 64 * 4);
  EXPECT_EQ(codec.account(coded).codes, 33u * 16);
  codec.retain(coded, {32});
  EXPECT_EQ(codec.account(coded).scales, 1u * 64 * 4);
  EXPECT_EQ(coded.memory.size(), (64u * 4 + 16 + 63) / 64 * 64);
}

struct Refusal {
  const char* name;
  CodecParameters params;
  uint32_t head_dim;
  const char* says;
};
TEST(CodecOracle, WhatDoesNotFitIsRefusedWithWhatWould) {
  const Refusal all[] = {
      {"uniform", {}, 48, "head_dim is 48; it must be a multiple of 32, at most 256"},
      {"group", {}, 288, "head_dim is 288"},
      {"gear", {}, 0, "head_dim is 0"},
      {"group",
       {},
       32,
       "group = 64 does not divide this model's head_dim of 32 into groups of a multiple of 32; set group = 32"},
      {"group", {}, 96, "set group = 32 or 96"},
      {"group", {{"group", 40}}, 64, "set group = 32 or 64"},
      {"gear", {{"group", 96}}, 128, "set group = 32 or 64 or 128"},
      {"group", {{"residual", 100}}, 64, "residual = 100 must be a multiple of group = 64; set residual = 128"},
      {"gear", {{"group", 128}}, 128, "buffer = 64 must be a multiple of group = 128; set buffer = 128"},
      {"gear", {{"rank", 17}}, 64, "the most is 16"},
      {"gear", {{"rank_decode", 40}}, 64, "the most is 16"},
  };
  for (const Refusal& r : all) {
    try {
      CodecDriver(r.name, r.params, r.head_dim);
      ADD_FAILURE() << r.name << " took head_dim " << r.head_dim;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(r.says), std::string::npos) << error.what();
    }
  }
  CodecDriver("gear", {{"backbone", "uniform"}}, 96);  // needs no groups
}

}  // namespace
}  // namespace sluice::testing
