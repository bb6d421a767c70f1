// What every codec must do, whatever its method: each configuration of the list below passes every check of
// `sluice plugin check`, and what the built-in ones promise beyond. Numbered oracles are those of the algorithms page;
// 4, 12, 13 and 21 are checks: codec-dot and codec-accumulate, codec-independent, codec-reads, codec-retain.
#include <algorithm>
#include <array>

#include "tests/support/check_runner.h"
#include "tests/support/codec_driver.h"

namespace sluice::testing {
namespace {

struct Case {
  std::string name;
  CodecParameters params;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
  for (const auto& [key, value] : c.params) {
    *out << ' ' << key << '=';
    std::visit([&](const auto& v) { *out << v; }, value);
  }
}

// group = 0 stands for head_dim where that is small, else 64.
std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (int bits : {2, 3, 4, 8}) {
    for (const char* axis : {"token", "channel", "tensor"})
      cases.push_back({"uniform", {{"bits", bits}, {"axis", axis}}});
    cases.push_back({"group", {{"bits", bits}, {"group", 32}, {"residual", 64}}});
    cases.push_back({"group", {{"bits", bits}, {"group", 0}, {"residual", 192}, {"value_window", "sliding"}}});
    cases.push_back({"gear", {{"bits", bits}, {"group", 0}, {"buffer", 192}}});
    cases.push_back({"gear", {{"bits", bits}, {"backbone", "uniform"}, {"rank_decode", 4}}});
    if (bits < 8) cases.push_back({"turboquant", {{"bits", bits}}});
  }
  for (const auto& [wide, narrow, values] : std::vector<std::array<int, 3>>{{2, 2, 2}, {3, 2, 2}, {4, 3, 3}, {8, 4, 4}})
    cases.push_back({"uneven", {{"wide", wide}, {"narrow", narrow}, {"value_bits", values}}});
  cases.push_back({"gear", {{"group", 32}, {"outliers", 0}}});
  cases.push_back({"gear", {{"group", 32}, {"rank", 0}, {"rank_decode", 0}, {"outliers", 0.1}}});
  cases.push_back({"gear", {{"group", 32}, {"rank", 16}, {"rank_decode", 16}, {"outliers", 0.5}}});
  return cases;
}

class CodecContract : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr uint32_t kHeadDims[] = {32, 64, 96, 128, 256};
  CodecParameters parameters(uint32_t head_dim) const {
    CodecParameters params = GetParam().params;
    if (const auto group = params.find("group"); group != params.end() && std::get<int>(group->second) == 0)
      group->second = head_dim == 96 ? 96 : head_dim >= 64 ? 64 : 32;
    return params;
  }
  CodecDriver driver(uint32_t head_dim) const { return {GetParam().name, parameters(head_dim), head_dim}; }
};
INSTANTIATE_TEST_SUITE_P(All, CodecContract, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name + "_" + std::to_string(info.index); });

// Under sanitizers all checks of all configurations take longer than everything else: one in three, of each codec some.
std::vector<Case> checked_cases() {
  std::vector<Case> cases = all_cases();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  for (size_t i = 0; 3 * i < cases.size(); i++) cases[i] = cases[3 * i];
  cases.resize((cases.size() + 2) / 3);
#endif
  return cases;
}
class CodecChecks : public CodecContract {};
INSTANTIATE_TEST_SUITE_P(All, CodecChecks, ::testing::ValuesIn(checked_cases()),
                         [](const auto& info) { return info.param.name + "_" + std::to_string(info.index); });

// Head sizes that a configuration's groups do not divide are refused with a message, which is allowed.
TEST_P(CodecChecks, AllPass) {
  const sluice_module& module = codec_registry().find(SLUICE_CODEC, GetParam().name);
  std::vector<CodecParameters> sets;  // those that differ by head size
  for (const uint32_t head_dim : kHeadDims)
    if (std::find(sets.begin(), sets.end(), parameters(head_dim)) == sets.end()) sets.push_back(parameters(head_dim));
  for (const CodecParameters& set : sets) {
    const check::Subject subject{{}, &module, &codec_registry(), codec_values(module, set), 1};
    for (const check::Check& each : check::codec_checks()) {
      const Finding found = run_check(each, subject);
      EXPECT_FALSE(found.bad()) << each.name << ": " << found.why;
      const bool may_skip = each.name == "codec-exact" || each.name == "codec-cuda" || each.name == "codec-allocations";
      EXPECT_TRUE(may_skip || found.verdict != check::Verdict::kSkip) << each.name << ": " << found.why;
    }
  }
}

// What half floats cannot hold becomes what they can, and is counted.
TEST_P(CodecContract, NonFiniteNumbersAreReplacedAndCounted) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      Rows bad = random_rows(rows, d, 2), good = bad;
      const size_t at[] = {3, 40 % bad.size(), bad.size() - 1};
      bad[at[0]] = std::nanf(""), good[at[0]] = 0;
      bad[at[1]] = INFINITY, good[at[1]] = 65504;
      bad[at[2]] = -INFINITY, good[at[2]] = -65504;
      const auto expected = codec.encode(side, good).bytes();
      EXPECT_EQ(codec.encode(side, bad).bytes(), expected);
      for (float v : codec.decode(codec.encode(side, bad))) ASSERT_TRUE(std::isfinite(v));
    }
    bool counted = false;
    for (const Counter& c : codec.instance().counters())
      if (c.name == "non-finite values per block") counted = c.numerator == 3 * c.denominator && c.denominator == 4;
    EXPECT_TRUE(counted);
  }
}

// Oracle 1 at block level: no NaN for constant, tiny and huge rows, and constants come back exactly.
TEST_P(CodecContract, O01_ConstantTinyAndHugeRows) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      for (float constant : {0.0f, 3.0f, -0.125f, 65504.0f, -65504.0f, 5.9604645e-8f}) {
        const Rows x(size_t(rows) * d, constant);
        ASSERT_EQ(codec.decode(codec.encode(side, x)), x) << constant;
      }
      for (float scale : {1e-7f, 1e-5f, 20000.0f}) {
        const Rows x = random_rows(rows, d, 8, scale);
        Rows clamped = x;
        for (float& v : clamped) v = std::clamp(v, -65504.0f, 65504.0f);
        for (float v : codec.decode(codec.encode(side, clamped))) ASSERT_TRUE(std::isfinite(v));
      }
    }
  }
}

}  // namespace
}  // namespace sluice::testing
