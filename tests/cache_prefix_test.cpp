// Rows shared with a snapshot are never written: not where a fork goes on in the snapshot's last segment, not where it
// puts a token into the place of one that it evicted. And what failed leaves no memory behind.
#include <gmock/gmock.h>

#include "core/base/error.h"
#include "support/cache_setup.h"

namespace sluice {
namespace {

using testing::CacheDriver;
using testing::make_policy;
using testing::PolicyOptions;
using testing::Rows;
using CachePrefix = testing::CacheSetup;
using CacheMemory = testing::CacheSetup;

std::vector<std::map<uint32_t, std::vector<float>>> all_rows(const CacheDriver& d) {
  std::vector<std::map<uint32_t, std::vector<float>>> rows;
  for (uint32_t h : {0u, 1u})
    for (uint32_t side : {0u, 1u}) rows.push_back(d.visible(0, h, side));
  return rows;
}

TEST_F(CachePrefix, ForksOfOneSnapshotDoNotMeet) {
  const auto keep = make_policy(registry, {});
  for (const char* evictor : {"", "recent", "random"})
    for (const char* codec : {"", "identity"})
      for (uint32_t prefix : {100u, 256u}) {
        SCOPED_TRACE(std::string(evictor) + "+" + codec + " prefix " + std::to_string(prefix));
        PolicyOptions o;
        o.evictor = evictor, o.key_codec = o.value_codec = codec, o.interval = 4;
        if (o.evictor == "random") o.evictor_params["recent"].i = 8;
        const auto policy = make_policy(registry, o);
        // Room for the whole prompt: the first evictions come when decoding has begun on shared rows.
        const uint32_t budget = o.evictor.empty() ? 0 : prefix + 12;
        CacheDriver snapshot = driver(*keep, 0);
        snapshot.prompt(prefix);
        const auto before = all_rows(snapshot);
        const Rows first{2, prefix}, second{3, prefix};  // alike up to the prefix
        CacheDriver a = driver(*policy, budget, 2048, first), b = driver(*policy, budget, 2048, second);
        CacheDriver whole_a = driver(*policy, budget, 2048, first), whole_b = driver(*policy, budget, 2048, second);
        a.prompt(5, &snapshot), b.prompt(5, &snapshot);
        whole_a.prompt(prefix + 5), whole_b.prompt(prefix + 5);
        for (uint32_t t = 0; t < 40; t++) {
          a.step(), b.step(), whole_a.step(), whole_b.step();
          ASSERT_EQ(a.outputs, whole_a.outputs) << "step " << t;
          ASSERT_EQ(b.outputs, whole_b.outputs) << "step " << t;
        }
        EXPECT_NE(a.outputs, b.outputs);
        EXPECT_EQ(all_rows(a), all_rows(whole_a));
        EXPECT_EQ(all_rows(b), all_rows(whole_b));
        EXPECT_EQ(all_rows(snapshot), before);
      }
}

// Lanes of a layer with 128 kv heads have 256 sides, any of which may hold a dead token's row.
TEST_F(CachePrefix, ALayersLaneOfManyHeads) {
  PolicyOptions o;
  o.evictor = "recent", o.key_codec = o.value_codec = "identity", o.interval = 4, o.layer_granularity = true;
  o.heads = o.kv_heads = 128, o.head_dim = 32;
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 32);
  for (uint32_t t = 0; t < 100; t++) {
    d.step();
    ASSERT_EQ(d.cache.live_positions(0, 0), d.cache.live_positions(0, 127)) << "step " << t;
  }
  EXPECT_LE(d.cache.live_positions(0, 0).size(), 32u);
}

TEST_F(CachePrefix, AStepIsNoLongerThanItsSlots) {
  PolicyOptions o;
  o.evictor = "recent", o.interval = 16;
  const auto decoding = make_policy(registry, o);
  CacheDriver d = driver(*decoding, 32);
  d.step();
  try {
    d.step(2);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("2 tokens in one step"));
    EXPECT_THAT(e.what(), ::testing::HasSubstr("prefill = \"chunked\""));
  }
  for (uint32_t t = 0; t < 60; t++) d.step();  // nothing has happened to it
  o.chunk = 24, o.key_codec = o.value_codec = "identity";
  const auto chunked = make_policy(registry, o);
  CacheDriver c = driver(*chunked, 32);
  for (uint32_t t = 0; t < 20; t++) c.step(24);
  EXPECT_THROW(c.step(25), Error);
  const auto keep = make_policy(registry, {});
  CacheDriver all = driver(*keep, 0, 100);
  all.step(70);
  EXPECT_THROW(all.step(31), Error);
  all.step(30);
}

// Takes all of the arena but `left` bytes.
struct Ballast {
  Arena& arena;
  ArenaOwner owner;
  std::vector<Piece> pieces;
  Ballast(Arena& arena, uint64_t left) : arena(arena) {
    Piece kept = left ? arena.allocate(left, owner) : Piece{};
    for (uint64_t bytes = uint64_t(1) << 30; bytes >= 64;) {
      try {
        pieces.push_back(arena.allocate(bytes, owner));
      } catch (const Error&) {
        bytes /= 2;
      }
    }
    arena.release(kept, owner);
  }
  ~Ballast() {
    for (Piece& p : pieces) arena.release(p, owner);
  }
};

// Memory runs out at one place after the other: in a fork, a prompt, a step. All of it comes back.
TEST_F(CacheMemory, WhatFailsLeavesNothingBehind) {
  PolicyOptions o;
  o.evictor = "h2o", o.key_codec = o.value_codec = "identity", o.interval = 4, o.layers = 2;
  const auto policy = make_policy(registry, o);
  CacheDriver base = driver(*policy, 64);
  base.prompt(90);
  for (uint32_t t = 0; t < 21; t++) base.step();
  const uint64_t live = arena->live();
  uint32_t failed_forks = 0, failed_prompts = 0, failed_steps = 0;
  for (uint64_t left = 0; left < base.cache.owner().peak * 2; left += 1984) {
    {
      CacheDriver fork(base), fresh = driver(*policy, 64);
      const Ballast ballast(*arena, left);
      try {
        const CacheDriver other(base);
      } catch (const Error&) {
        failed_forks++;
      }
      try {
        fresh.prompt(90);
      } catch (const Error&) {
        failed_prompts++;
        EXPECT_THROW(fresh.cache.begin(1), Error) << "it is in the middle of a prompt";
        EXPECT_THROW(SequenceCache(fresh.cache), Error);
      }
      try {
        for (uint32_t t = 0; t < 30; t++) fork.step();
      } catch (const Error&) {
        failed_steps++;
        EXPECT_THROW(fork.cache.check_step(1), Error) << "it is in the middle of a step";
      }
    }
    ASSERT_EQ(arena->live(), live) << left << " bytes left";
  }
  EXPECT_GT(failed_forks, 5u);
  EXPECT_GT(failed_prompts, 5u);
  EXPECT_GT(failed_steps, 1u);
  base.step();  // and the original goes on
}

}  // namespace
}  // namespace sluice
