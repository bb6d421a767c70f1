// Who is worth its bytes, who stands beside whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/report/verdict.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PolicyResult row(const char* name, uint64_t bytes, double kld, const char* codec = "") {
  PolicyResult r;
  r.policy = name;
  r.codec = codec;
  r.kld_mean = kld;
  r.kv.bytes = bytes;
  r.kv.bytes_f16 = 1000;
  r.kv.ratio = double(bytes) / 1000;
  r.reference = kld == 0;
  return r;
}

Comparison five() {
  Comparison c;
  c.policies = {row("full", 1000, 0), row("b", 500, 0.1), row("c", 500, 0.2), row("d", 250, 0.3), row("e", 300, 0.3)};
  return c;
}

TEST(ParetoFront, KeepsWhatNothingBeats) { EXPECT_THAT(pareto_front(five()), ElementsAre(0, 1, 3)); }

TEST(ParetoFront, EqualsStayTogether) {
  Comparison c = five();
  c.policies[2].kld_mean = 0.1;
  EXPECT_THAT(pareto_front(c), ElementsAre(0, 1, 2, 3));
}

TEST(ParetoFront, AFewBytesFewerAreNoMerit) {
  Comparison c;
  c.policies = {row("full", 1000000, 0), row("group4", 310000, 0.008), row("uniform4", 309990, 0.021),
                row("small", 306000, 0.03)};
  EXPECT_THAT(pareto_front(c), ElementsAre(0, 1, 3));
}

TEST(ParetoFront, ClaimsAndUnknownsDoNotCompete) {
  Comparison c = five();
  c.policies.push_back(row("claims", 1, 0.0001));
  c.policies.back().kv.stored = false;
  c.policies.push_back(row("unknown", 2, kUnknown));
  EXPECT_THAT(pareto_front(c), ElementsAre(0, 1, 3));
}

TEST(Winners, ClosestWithinEachShare) {
  const auto winners = winners_by_budget(five());
  ASSERT_EQ(winners.size(), 4u);
  EXPECT_EQ(winners[0].row, 1u);
  EXPECT_EQ(winners[1].row, 3u);
  EXPECT_FALSE(winners[2].row);
  EXPECT_FALSE(winners[3].row);
}

TEST(Winners, TheReferenceDoesNotCompeteWithItself) {
  Comparison c = five();
  c.policies[0].kv.ratio = 0.4;
  EXPECT_EQ(winners_by_budget(c)[0].row, 1u);
}

TEST(NearestInBytes, TakesTheNearestOfTheOtherCodec) {
  Comparison c;
  c.byte_pairs = {{"gear", "group"}};
  c.policies = {row("gear2", 280, 0.1, "gear"), row("group2", 160, 0.4, "group"), row("group4", 290, 0.01, "group"),
                row("uniform4", 281, 0.03, "uniform")};
  EXPECT_EQ(nearest_in_bytes(c, 0), 2u);
  EXPECT_FALSE(nearest_in_bytes(c, 1));
  EXPECT_FALSE(nearest_in_bytes(c, 3));
  c.policies[2].kv.stored = false;
  EXPECT_EQ(nearest_in_bytes(c, 0), 1u);
  c.byte_pairs.clear();
  EXPECT_FALSE(nearest_in_bytes(c, 0));
}

TEST(VerdictText, WhatNeverActedIsNamedAndNotRanked) {
  Comparison c = five();
  for (PolicyResult& policy : c.policies) policy.tokens = 10;
  c.policies.push_back(row("idle", 200, 0, "gear"));
  c.policies.back().reference = false;
  c.policies.back().tokens = 10;
  EXPECT_THAT(pareto_front(c), ElementsAre(0, 1, 3));
  EXPECT_EQ(winners_by_budget(c)[1].row, 3u);
  EXPECT_THAT(verdict_text(c), HasSubstr("in as few. idle never acted on a scored token: use more tokens. Closest"));
  c.policies.back().compressed_before_scoring = 1;
  EXPECT_EQ(verdict_text(c).find("never acted"), std::string::npos);
  EXPECT_EQ(winners_by_budget(c)[1].row, 5u);
  c.policies = {c.policies.front(), c.policies.back()};
  c.policies.back().compressed_before_scoring = 0;
  EXPECT_EQ(verdict_text(c), "idle never acted on a scored token: use more tokens.");
}

TEST(VerdictText, SaysItInWords) {
  EXPECT_EQ(verdict_text(five()),
            "3 of 5 rows are worth their bytes: nothing else stays as close to the reference in as few. Closest within "
            "half of F16's bytes b (KLD 0.1000); within a quarter of F16's bytes d (KLD 0.3000).");
  Comparison one;
  one.policies = {row("full", 1000, 0)};
  EXPECT_EQ(verdict_text(one), "");  // there is nothing to rank it with
  EXPECT_THAT(verdict_text({}), HasSubstr("Nothing to rank"));
}

}  // namespace
}  // namespace sluice
