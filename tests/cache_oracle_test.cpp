// Eviction and compression at the level of the cache: the numbered oracles of the specification that need no model.
// Attention is computed in double by the driver; rows are random and known, so every claim can be checked exactly.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/error.h"
#include "support/cache_setup.h"

namespace sluice {
namespace {

using testing::CacheDriver;
using testing::PolicyOptions;
using testing::Rows;

using CacheOracle = testing::CacheSetup;

std::vector<std::vector<uint32_t>> alive(const CacheDriver& d, uint32_t layer, uint32_t kv_heads) {
  std::vector<std::vector<uint32_t>> positions;
  for (uint32_t h = 0; h < kv_heads; h++) positions.push_back(d.cache.live_positions(layer, h));
  return positions;
}

// 14: the budget is the peak for any interval; recent and sink rows stay; the ledger adds up (the driver checks it
// after every step); 18, 19: attention over what is left is attention with the others masked.
TEST_F(CacheOracle, O14_O18_O19_BudgetIsThePeakAndAttentionIsMaskedAttention) {
  for (const char* evictor : {"h2o", "sieve", "recent", "random"})
    for (const char* codec : {"", "identity"})
      for (uint32_t interval : {1u, 4u, 16u}) {
        SCOPED_TRACE(std::string(evictor) + "+" + codec + " interval " + std::to_string(interval));
        PolicyOptions o;
        o.evictor = evictor, o.key_codec = o.value_codec = codec, o.interval = interval;
        if (o.evictor == "sieve" || o.evictor == "random") o.evictor_params["recent"].i = 8;
        const auto policy = make_policy(registry, o);
        CacheDriver d = driver(*policy, 48);
        std::vector<std::vector<uint32_t>> before(2);
        for (uint32_t t = 0; t < 200; t++) {
          for (auto& lane : before) lane.push_back(t);
          d.step();
          const auto want = d.expected(0, before);
          for (size_t i = 0; i < want.size(); i++) ASSERT_NEAR(d.outputs[0][i], want[i], 1e-9) << "step " << t;
          before = alive(d, 0, 2);
          for (const auto& lane : before) {
            ASSERT_LE(lane.size(), 48u) << "step " << t;
            ASSERT_EQ(std::set<uint32_t>(lane.begin(), lane.end()).size(), lane.size());
            for (uint32_t r = 0; r < 8 && r <= t; r++)
              ASSERT_EQ(lane[lane.size() - 1 - r], t - r) << "recent rows stay";
            if (o.evictor != "h2o" && t >= 4) {
              ASSERT_EQ(lane[3], 3u) << "sinks stay";
            }
          }
          if (t >= 48 && (t - 48) % interval == 0) {
            ASSERT_EQ(before[0].size(), 48u - interval + 1) << "step " << t;
          }
        }
        EXPECT_EQ(d.checked_ledgers, 200u);
      }
}

// 16: without heavy hitters H2O is a sliding window; with a budget beyond the text it is the full cache.
TEST_F(CacheOracle, O16_H2oWithoutHeavyHittersIsASlidingWindow) {
  PolicyOptions o;
  o.evictor = "h2o", o.evictor_params["recent"].i = SLUICE_PERCENT(100);
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 20), all = driver(*policy, 500);
  for (uint32_t t = 0; t < 90; t++) d.step(), all.step();
  std::vector<uint32_t> newest;
  for (uint32_t p = 70; p < 90; p++) newest.push_back(p);
  EXPECT_EQ(d.cache.live_positions(0, 0), newest);
  EXPECT_EQ(all.cache.live_positions(0, 1).size(), 90u);
}

// 20: query heads that ask alike decide as one head would.
TEST_F(CacheOracle, O20_EqualQueryHeadsDecideAsOne) {
  // A peak is the same for one query as for equal ones, so SIEVE on GQA sees what it would see on MHA; the rows'
  // generator gives heads different queries, hence the check goes over layer granularity of one head.
  PolicyOptions o;
  o.evictor = "sieve", o.evictor_params["recent"].i = 4, o.kv_heads = 1, o.heads = 1;
  const auto plain = make_policy(registry, o);
  o.layer_granularity = true;
  const auto layered = make_policy(registry, o);
  CacheDriver a = driver(*plain, 24), b = driver(*layered, 24);
  for (uint32_t t = 0; t < 120; t++) a.step(), b.step();
  EXPECT_EQ(a.cache.live_positions(0, 0), b.cache.live_positions(0, 0));
}

TEST_F(CacheOracle, LayerGranularityKeepsTheSameTokensInAllHeads) {
  for (const char* codec : {"", "identity"}) {
    PolicyOptions o;
    o.evictor = "h2o", o.layer_granularity = true, o.key_codec = o.value_codec = codec, o.interval = 4;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 32);
    d.prompt(80);
    for (uint32_t t = 0; t < 150; t++) {
      d.step();
      ASSERT_EQ(d.cache.live_positions(0, 0), d.cache.live_positions(0, 1));
    }
  }
}

// 22: an exact codec under an evictor changes nothing; a budget beyond the text evicts nothing.
TEST_F(CacheOracle, O22_ExactCodecUnderAnEvictorChangesNothing) {
  for (const char* evictor : {"h2o", "sieve"})
    for (uint32_t prompt : {0u, 100u}) {
      SCOPED_TRACE(std::string(evictor) + " prompt " + std::to_string(prompt));
      PolicyOptions o;
      o.evictor = evictor, o.interval = 4, o.evictor_params["recent"].i = 12;
      const auto plain = make_policy(registry, o);
      o.key_codec = o.value_codec = "identity";
      const auto coded = make_policy(registry, o);
      CacheDriver a = driver(*plain, 64), b = driver(*coded, 64);
      if (prompt) a.prompt(prompt), b.prompt(prompt);
      for (uint32_t t = 0; t < 250; t++) {
        a.step(), b.step();
        for (uint32_t h : {0u, 1u}) ASSERT_EQ(a.cache.live_positions(0, h), b.cache.live_positions(0, h)) << t;
        for (size_t i = 0; i < a.outputs[0].size(); i++) ASSERT_NEAR(a.outputs[0][i], b.outputs[0][i], 1e-12);
      }
      EXPECT_GT(b.cache.counters().coded, 0u);
    }
}

// 23: H2O's first eviction at interval p names interval 1's first victim among its p.
TEST_F(CacheOracle, O23_FirstEvictionOfAnIntervalHoldsTheFirstVictim) {
  auto first_victims = [&](uint32_t interval) {
    PolicyOptions o;
    o.evictor = "h2o", o.interval = interval;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 40);
    d.cache.record_victims(0);
    for (uint32_t t = 0; t < 41; t++) d.step();
    return d.cache.recorded_victims();
  };
  const auto one = first_victims(1), eight = first_victims(8);
  for (uint32_t lane = 0; lane < 2; lane++) {
    ASSERT_EQ(one[lane].size(), 1u);
    ASSERT_EQ(eight[lane].size(), 8u);
    EXPECT_NE(std::find(eight[lane].begin(), eight[lane].end(), one[lane][0]), eight[lane].end());
  }
}

// 24: what is evicted gives its memory back: bytes follow the live rows, not the text's length.
TEST_F(CacheOracle, O24_EvictedRowsGiveTheirMemoryBack) {
  for (const char* codec : {"", "identity"}) {
    PolicyOptions o;
    o.evictor = "recent", o.key_codec = o.value_codec = codec, o.interval = 8;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 128, 4096);
    d.prompt(1500);
    const uint64_t after_prompt = d.cache.owner().live;
    for (uint32_t t = 0; t < 300; t++) d.step();
    EXPECT_LE(d.cache.owner().live, after_prompt + after_prompt / 4);
    // 128 rows of 2 heads, 2 sides, 64 bytes: 32 KiB; everything else stays small beside the 1500-row prompt.
    EXPECT_LT(d.cache.owner().live, 3u * 128 * 2 * 2 * 64);
    EXPECT_GE(d.cache.owner().peak, 1500u * 2 * 2 * 64);
  }
}

// 21 and the never-coded-twice rule at work: rows of thin blocks end on the side list and still read the same.
TEST_F(CacheOracle, O21_RetainAndRescueKeepEveryRow) {
  PolicyOptions o;
  o.evictor = "random", o.key_codec = o.value_codec = "identity", o.interval = 4, o.compact = 1.0;
  o.evictor_params["recent"].i = 8, o.evictor_params["sinks"].i = 0;
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 64);
  d.prompt(200);
  for (uint32_t t = 0; t < 400; t++) d.step();
  EXPECT_GT(d.cache.counters().retained, 50u);
  for (uint32_t h : {0u, 1u})
    for (uint32_t side : {0u, 1u})
      for (const auto& [position, row] : d.visible(0, h, side))
        for (uint32_t c = 0; c < 32; c++)
          ASSERT_EQ(row[c], Rows{1}.at(side ? testing::kRowV : testing::kRowK, 0, position, h, c));
}

TEST_F(CacheOracle, ForksGoOnAlikeAndLeaveTheOriginalAlone) {
  for (const char* evictor : {"", "h2o", "sieve"})
    for (const char* codec : {"", "identity"}) {
      SCOPED_TRACE(std::string(evictor) + "+" + codec);
      PolicyOptions o;
      o.evictor = evictor, o.key_codec = o.value_codec = codec, o.interval = 4, o.layers = 2;
      if (o.evictor == "sieve") o.evictor_params["recent"].i = 8;
      const auto policy = make_policy(registry, o);
      CacheDriver a = driver(*policy, o.evictor.empty() ? 0 : 48);
      a.prompt(70);
      for (uint32_t t = 0; t < 33; t++) a.step();
      CacheDriver b(a);
      EXPECT_EQ(a.cache.owner().live, b.cache.owner().live);
      for (uint32_t t = 0; t < 60; t++) a.step();
      for (uint32_t t = 0; t < 60; t++) b.step();
      EXPECT_EQ(a.outputs, b.outputs);
      EXPECT_EQ(a.cache.live_positions(1, 1), b.cache.live_positions(1, 1));
    }
}

// A prompt on top of a snapshot's rows is the prompt as a whole, for policies that ask nothing of the prefix.
TEST_F(CacheOracle, PrefixByReferenceEqualsThePromptAsAWhole) {
  for (const char* evictor : {"", "recent"})
    for (const char* codec : {"", "identity"})
      for (uint32_t prefix : {64u, 256u, 300u}) {
        SCOPED_TRACE(std::string(evictor) + "+" + codec + " prefix " + std::to_string(prefix));
        PolicyOptions plain, o;
        o.evictor = evictor, o.key_codec = o.value_codec = codec, o.interval = 4;
        const auto keep = make_policy(registry, plain), policy = make_policy(registry, o);
        CacheDriver snapshot = driver(*keep, 0);
        snapshot.prompt(prefix);
        const uint64_t snapshot_bytes = snapshot.cache.owner().live;
        const uint32_t budget = o.evictor.empty() ? 0 : 100;
        CacheDriver whole = driver(*policy, budget), forked = driver(*policy, budget);
        whole.prompt(prefix + 40);
        forked.prompt(40, &snapshot);
        EXPECT_EQ(whole.outputs, forked.outputs);
        for (uint32_t t = 0; t < 50; t++) whole.step(), forked.step();
        EXPECT_EQ(whole.outputs, forked.outputs);
        EXPECT_EQ(whole.cache.live_positions(0, 1), forked.cache.live_positions(0, 1));
        EXPECT_EQ(snapshot.cache.owner().live, snapshot_bytes);
        if (o.evictor.empty() && o.key_codec.empty() && prefix >= 256) {
          EXPECT_LT(forked.cache.owner().live, whole.cache.owner().live / 2);
        }
      }
}

// A second prompt on a cache that was evicted and coded: slots widen and narrow again, nothing is lost.
TEST_F(CacheOracle, SecondPromptOnAnEvictedCodedCache) {
  for (const char* evictor : {"h2o", "sieve", "recent"})
    for (const char* codec : {"", "identity"}) {
      SCOPED_TRACE(std::string(evictor) + "+" + codec);
      PolicyOptions o;
      o.evictor = evictor, o.key_codec = o.value_codec = codec, o.interval = 4;
      if (o.evictor == "sieve") o.evictor_params["recent"].i = 8;
      const auto policy = make_policy(registry, o);
      CacheDriver d = driver(*policy, 64);
      d.prompt(90);
      for (uint32_t t = 0; t < 50; t++) d.step();
      auto before = alive(d, 0, 2);
      for (auto& lane : before)
        for (uint32_t p = 140; p < 200; p++) lane.push_back(p);
      d.prompt(60);
      const auto want = d.expected(0, before);
      for (size_t i = 0; i < want.size(); i++) ASSERT_NEAR(d.outputs[0][i], want[i], 1e-9);
      EXPECT_EQ(d.cache.live_positions(0, 0).size(), 61u);
      for (uint32_t t = 0; t < 100; t++) d.step();
      EXPECT_LE(d.cache.live_positions(0, 0).size(), 64u);
    }
}

TEST_F(CacheOracle, BudgetsThatCannotWorkAreExplained) {
  PolicyOptions o;
  o.evictor = "recent", o.interval = 16;
  const auto policy = make_policy(registry, o);
  try {
    driver(*policy, 8);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("smaller than the interval"), std::string::npos) << e.what();
  }
  CacheDriver d = driver(*policy, 22);  // 4 sinks and 3 others stay: room enough
  d.step();
  EXPECT_THROW(CacheDriver(driver(*policy, 4)), Error);
}

}  // namespace
}  // namespace sluice
