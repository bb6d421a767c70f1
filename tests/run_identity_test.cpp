// The determinism contract, end to end on a generated model: a row's logits have the same bits in any batch, on any
// number of threads, from a fork or a shared prefix, as a chunk of one or a decoded token. Every kind of policy.
#include <gtest/gtest.h>

#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using testing::RunSetup;
using Bits = std::vector<std::vector<float>>;  // logits [token][vocab]

const std::vector<std::vector<std::string>> kPolicies = {
    {},
    {"codec.name=uniform", "codec.bits=8", "codec.block_rows=16"},
    {"codec.name=group", "codec.bits=2", "codec.group=32", "codec.residual=32", "codec.value_window=sliding"},
    {"codec.name=gear", "codec.group=32", "codec.buffer=32"},
    {"evictor.name=h2o", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=sieve", "evictor.recent=8", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=recent", "cache.budget=40", "cache.interval=1"},
    {"evictor.name=random", "evictor.recent=8", "cache.budget=40", "cache.interval=4"},
    {"codec.name=gear", "codec.group=32", "codec.buffer=32", "evictor.name=h2o", "cache.budget=72", "cache.interval=4"},
    {"codec.name=uniform", "codec.block_rows=16", "evictor.name=sieve", "evictor.recent=8", "cache.budget=48",
     "cache.interval=4"},
    // What evictors get through sluice/extensions.h.
    {"evictor.name=test-rows", "cache.budget=40", "cache.interval=4"},
    {"codec.name=gear", "codec.group=32", "codec.buffer=32", "evictor.name=test-rows", "cache.budget=72",
     "cache.interval=4"},
    {"evictor.name=test-window", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=test-layers", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=test-ragged", "cache.budget=40", "cache.interval=4"},
    {"codec.name=uniform", "codec.block_rows=16", "evictor.name=test-ragged", "cache.budget=48", "cache.interval=4"},
    {"evictor.name=test-part", "evictor.part=h2o", "evictor.with=\"recent = '25%'\"", "cache.budget=40",
     "cache.interval=4"},
    // Positions counted anew.
    {"evictor.name=h2o", "cache.budget=40", "cache.interval=4", "cache.positions=rolling"},
    {"evictor.name=recent", "cache.budget=40", "cache.interval=1", "cache.positions=rolling"},
    {"codec.value.name=uniform", "codec.value.block_rows=16", "evictor.name=sieve", "evictor.recent=8",
     "cache.budget=48", "cache.interval=4", "cache.positions=rolling"},
};

std::string text_of(const std::vector<std::string>& settings) {
  std::string text = "policy:";
  for (const std::string& s : settings) text += " " + s;
  return text;
}

class RunIdentity : public ::testing::Test {
 protected:
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_identity_" + std::to_string(getpid()) + ".gguf");
  std::vector<int32_t> tokens;
  RunIdentity() {
    testing::TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192;
    testing::write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < 160; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
  }
  ~RunIdentity() override { std::filesystem::remove(model); }

  // Logits of tokens [first, last) decoded one by one.
  Bits decode(RunSetup& s, SequenceCache& cache, size_t first, size_t last, bool exact) {
    Bits bits;
    for (size_t t = first; t < last; t++) {
      const Feed feed{&cache, std::span(tokens).subspan(t, 1), Want::kLast};
      s.engine->step({&feed, 1}, exact, [&](std::span<const LogitRow> rows) {
        bits.emplace_back(rows[0].logits.begin(), rows[0].logits.end());
      });
    }
    return bits;
  }
  Bits prompt(RunSetup& s, SequenceCache& cache, size_t first, size_t last, bool exact,
              const SequenceCache* prefix = nullptr) {
    Bits bits;
    s.engine->prompt({&cache, std::span(tokens).subspan(first, last - first), Want::kAll}, prefix, exact,
                     [&](std::span<const LogitRow> rows) {
                       for (const LogitRow& row : rows) bits.emplace_back(row.logits.begin(), row.logits.end());
                     });
    return bits;
  }
};

TEST_F(RunIdentity, ThreadCountsGiveTheSameBits) {
  for (bool exact : {true, false})
    for (const auto& policy : kPolicies) {
      SCOPED_TRACE(text_of(policy));
      Bits first, first_prompt;
      for (unsigned threads : {1u, 2u, 3u}) {
        RunSetup s(model, 256, threads);
        auto cache = s.cache(policy, 160);
        const Bits p = prompt(s, *cache, 0, 70, exact), d = decode(s, *cache, 70, 130, exact);
        if (threads == 1) first_prompt = p, first = d;
        EXPECT_EQ(p, first_prompt) << threads << " threads";
        EXPECT_EQ(d, first) << threads << " threads";
      }
    }
}

TEST_F(RunIdentity, BatchedEqualsSingleAndLockstepEqualsAlone) {
  for (bool exact : {true, false}) {
    RunSetup s(model, 256);
    std::vector<std::unique_ptr<SequenceCache>> caches;
    std::vector<Bits> alone;
    for (const auto& policy : kPolicies) {
      auto cache = s.cache(policy, 160);
      alone.push_back(decode(s, *cache, 0, 120, exact));
      caches.push_back(s.cache(policy, 160));
      caches.push_back(s.cache(policy, 160));  // the same policy twice in one batch
    }
    for (size_t t = 0; t < 120; t++) {
      std::vector<Feed> feeds;
      for (auto& cache : caches) feeds.push_back({cache.get(), std::span(tokens).subspan(t, 1), Want::kLast});
      s.engine->step(feeds, exact, [&](std::span<const LogitRow> rows) {
        for (const LogitRow& row : rows) {
          const auto& want = alone[row.feed / 2][t];
          ASSERT_TRUE(std::equal(want.begin(), want.end(), row.logits.begin()))
              << text_of(kPolicies[row.feed / 2]) << " token " << t;
        }
      });
    }
  }
}

TEST_F(RunIdentity, APromptOfTheFullCacheEqualsDecoding) {
  for (bool exact : {true, false}) {
    RunSetup s(model, 256);
    auto a = s.cache({}, 160), b = s.cache({}, 160);
    EXPECT_EQ(prompt(s, *a, 0, 150, exact), decode(s, *b, 0, 150, exact));
  }
}

TEST_F(RunIdentity, AChunkOfOneEqualsDecodingAndChunksKeepTheBudget) {
  for (const auto& policy : kPolicies) {
    SCOPED_TRACE(text_of(policy));
    RunSetup s(model, 256);
    auto chunked = policy;
    chunked.push_back("cache.prefill=chunked"), chunked.push_back("cache.chunk=1");
    auto a = s.cache(policy, 160), b = s.cache(chunked, 160);
    EXPECT_EQ(decode(s, *a, 0, 120, true), decode(s, *b, 0, 120, true));
    chunked.back() = "cache.chunk=24";
    auto c = s.cache(chunked, 160);
    for (size_t t = 0; t < 144; t += 24) {
      const Feed feed{c.get(), std::span(tokens).subspan(t, 24), Want::kLast};
      s.engine->step({&feed, 1}, true, [](std::span<const LogitRow>) {});
      if (c->budget()) {
        EXPECT_LE(c->tokens_kept(), c->budget());
      }
      EXPECT_EQ(c->ledger().total() - c->policy().plugin_bytes(), c->owner().live);
    }
  }
}

TEST_F(RunIdentity, ForksGoOnAsTheOriginal) {
  for (const auto& policy : kPolicies) {
    SCOPED_TRACE(text_of(policy));
    RunSetup s(model, 256);
    auto a = s.cache(policy, 160);
    prompt(s, *a, 0, 60, false);
    decode(s, *a, 60, 90, false);
    SequenceCache fork(*a);
    const Bits original = decode(s, *a, 90, 150, false);
    EXPECT_EQ(decode(s, fork, 90, 150, false), original);
  }
}

TEST_F(RunIdentity, ASharedPrefixEqualsThePromptAsAWhole) {
  for (const auto& policy : kPolicies) {
    SCOPED_TRACE(text_of(policy));
    RunSetup s(model, 256);
    const Policy watched = snapshot_policy(s.cache(policy, 160)->policy());
    auto snapshot = s.engine->create_cache(watched, 0, 160);
    prompt(s, *snapshot, 0, 50, true);
    for (int fork = 0; fork < 2; fork++) {  // the snapshot stays as it was
      auto whole = s.cache(policy, 160), shared = s.cache(policy, 160);
      Bits want = prompt(s, *whole, 0, 80, true);
      want.erase(want.begin(), want.begin() + 50);
      EXPECT_EQ(prompt(s, *shared, 50, 80, true, snapshot.get()), want);
      EXPECT_EQ(decode(s, *shared, 80, 150, true), decode(s, *whole, 80, 150, true));
    }
  }
}

TEST_F(RunIdentity, TheLedgerIsExactAndNothingIsDecodedForAttention) {
  for (const auto& policy : kPolicies) {
    SCOPED_TRACE(text_of(policy));
    RunSetup s(model, 256);
    auto cache = s.cache(policy, 160);
    prompt(s, *cache, 0, 60, false);
    for (size_t t = 60; t < 140; t++) {
      decode(s, *cache, t, t + 1, false);
      ASSERT_EQ(cache->ledger().total() - cache->policy().plugin_bytes(), cache->owner().live) << "token " << t;
    }
    prompt(s, *cache, 140, 158, false);  // a second turn, on blocks
    ASSERT_EQ(cache->ledger().total() - cache->policy().plugin_bytes(), cache->owner().live);
    EXPECT_EQ(s.engine->decoded_rows(), 0u);
  }
}

// Long lanes are added up in parts, which are jobs of their own where lanes are few, and one job's where they are many.
TEST_F(RunIdentity, LanesOfSeveralPartsAreTheSameHoweverTheyAreShared) {
  constexpr uint32_t kText = 1900, kPrompt = 1800, kBatch = 6;  // 12 lanes for two threads
  while (tokens.size() < kText) tokens.push_back(tokens[tokens.size() % 160]);
  const std::vector<std::vector<std::string>> policies = {
      {"codec.name=uniform", "codec.bits=8"},
      {"codec.name=gear", "codec.group=32"},
      {"codec.value.name=group", "codec.value.group=32", "evictor.name=h2o", "cache.budget=1800"}};
  for (const auto& policy : policies) {
    SCOPED_TRACE(text_of(policy));
    Bits first_prompt, first;
    for (unsigned threads : {1u, 2u, 3u}) {
      RunSetup s(model, kText, threads);
      auto cache = s.cache(policy, kText);
      for (uint32_t from = 0; from < kPrompt; from += 600) prompt(s, *cache, from, from + 600, false);
      const auto spans = cache->coded_spans(0, 0, SLUICE_VALUE);
      uint32_t rows = 0;
      for (const sluice_span& span : spans) rows += span.rows;
      ASSERT_GE(rows, 1600u);  // three parts: of two, no order of adding would show
      ASSERT_GE(spans.size(), 3u);
      SequenceCache fork(*cache);
      const Bits p = prompt(s, fork, kPrompt, kPrompt + 20, false), d = decode(s, *cache, kPrompt, kPrompt + 10, false);
      if (threads == 1) first_prompt = p, first = d;
      EXPECT_EQ(p, first_prompt) << threads << " threads";
      EXPECT_EQ(d, first) << threads << " threads";
    }
    RunSetup s(model, kText, 2);
    std::vector<std::unique_ptr<SequenceCache>> caches;
    for (uint32_t i = 0; i < kBatch; i++) {
      caches.push_back(s.cache(policy, kText));
      for (uint32_t from = 0; from < kPrompt; from += 600) prompt(s, *caches.back(), from, from + 600, false);
    }
    for (size_t t = kPrompt; t < kPrompt + 10; t++) {
      std::vector<Feed> feeds;
      for (auto& cache : caches) feeds.push_back({cache.get(), std::span(tokens).subspan(t, 1), Want::kLast});
      uint32_t seen = 0;
      s.engine->step(feeds, false, [&](std::span<const LogitRow> rows) {
        for (const LogitRow& row : rows) {
          EXPECT_TRUE(std::equal(row.logits.begin(), row.logits.end(), first[t - kPrompt].begin())) << "token " << t;
          seen++;
        }
      });
      ASSERT_EQ(seen, kBatch);
    }
  }
}

// A second prompt on a cache without policy is the one prompt that both would be.
TEST_F(RunIdentity, TwoPromptsOfTheFullCacheAreOne) {
  RunSetup s(model, 256);
  auto a = s.cache({}, 160), b = s.cache({}, 160);
  Bits whole = prompt(s, *a, 0, 120, true);
  prompt(s, *b, 0, 47, true);
  whole.erase(whole.begin(), whole.begin() + 47);
  EXPECT_EQ(prompt(s, *b, 47, 120, true), whole);
}

}  // namespace
}  // namespace sluice
