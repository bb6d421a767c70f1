// Positions that roll (StreamingLLM): attention is what a slow reference makes of keys turned by rank, a text may be
// longer than the model's context, and what cannot be counted anew is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/run/generate.h"
#include "support/rolling_reference.h"
#include "support/run_setup.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::RollingReference;
using testing::RunSetup;
using Settings = std::vector<std::string>;
using Bits = std::vector<std::vector<float>>;

constexpr uint32_t kContext = 64, kTokens = 200;  // trained; of the text

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kExitUsage);
    return error.what();
  }
  return "";
}

double largest(const std::vector<float>& x) {
  double most = 0;
  for (float v : x) most = std::max(most, std::abs(double(v)));
  return most;
}

template <class A, class B>
double difference(const A& a, const B& b) {
  double most = 0;
  EXPECT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); i++) most = std::max(most, std::abs(double(a[i]) - double(b[i])));
  return most;
}

class RunRolling : public ::testing::Test {
 protected:
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_rolling_" + std::to_string(getpid()) + ".gguf");
  testing::TinyModel tiny;
  std::vector<int32_t> tokens;
  RunRolling() {
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192, tiny.context = kContext;
    testing::write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < kTokens; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
  }
  ~RunRolling() override { std::filesystem::remove(model); }

  static Settings rolling(const std::string& evictor, Settings more = {"cache.budget=40", "cache.interval=4"}) {
    more.insert(more.end(), {"evictor.name=" + evictor, "cache.positions=rolling"});
    return more;
  }
  // Logits of tokens [first, last), one after another or as a prompt.
  Bits feed(RunSetup& s, SequenceCache& cache, size_t first, size_t last, bool prompt) {
    Bits bits;
    const LogitSink sink = [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows) bits.emplace_back(row.logits.begin(), row.logits.end());
    };
    const auto text = std::span(tokens).subspan(first, last - first);
    if (prompt) s.engine->prompt({&cache, text, Want::kAll}, nullptr, true, sink);
    for (size_t t = 0; !prompt && t < text.size(); t++) {
      const Feed one{&cache, text.subspan(t, 1), Want::kLast};
      s.engine->step({&one, 1}, true, sink);
    }
    return bits;
  }
  // The reference over the same tokens, which sees what the cache's lanes held before them.
  std::vector<RollingReference::Row> expected(RollingReference& reference, const SequenceCache& cache, size_t first,
                                              size_t last) {
    std::vector<std::vector<uint32_t>> held;
    for (uint32_t l = 0; l < tiny.layers; l++)
      for (uint32_t h = 0; h < tiny.kv_heads; h++)
        held.push_back(first ? cache.live_positions(l, h) : std::vector<uint32_t>{});
    std::vector<RollingReference::Row> rows;
    for (size_t t = first; t < last; t++) {
      rows.push_back(
          reference.next(tokens[t], [&](uint32_t l, uint32_t h) { return held[size_t(l) * tiny.kv_heads + h]; }));
      for (auto& lane : held) lane.push_back(uint32_t(t));
    }
    return rows;
  }
};

// Prompts, decoded tokens, a second prompt, three times as many as the model's context. H2O's heads hold different
// tokens, in slots of no order. A copy's element may round to F16's other neighbour where float and double disagree,
// which is 2^-11 of it: some of a hundred turned rows move logits of size 10 by a thousandth, a rank that is wrong by
// one moves them by more than a hundred times that.
TEST_F(RunRolling, AttentionIsThatOfKeysTurnedByTheirRanks) {
  for (const char* evictor : {"h2o", "recent"})
    for (const char* granularity : {"head", "layer"}) {
      SCOPED_TRACE(std::string(evictor) + " by " + granularity);
      RunSetup s(model, kContext);
      auto cache = s.cache(
          rolling(evictor, {"cache.budget=40", "cache.interval=4", std::string("cache.granularity=") + granularity}),
          kTokens);
      RollingReference reference(tiny);
      double worst = 0, size = 0;
      const auto compare = [&](size_t first, size_t last, bool prompt) {
        const auto want = expected(reference, *cache, first, last);
        const Bits got = feed(s, *cache, first, last, prompt);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); i++)
          worst = std::max(worst, difference(got[i], want[i])), size = std::max(size, largest(got[i]));
      };
      compare(0, 50, true);
      for (size_t t = 50; t < 150; t++) compare(t, t + 1, false);
      compare(150, 170, true);
      for (size_t t = 170; t < kTokens; t++) compare(t, t + 1, false);
      std::printf("%s by %s: largest difference %.1e of logits up to %.1f\n", evictor, granularity, worst, size);
      EXPECT_LT(worst, 2e-4 * size);
    }
}

// As long as nobody leaves a rank is a position. K is rounded once more, each time by at most u = 2^-11 of itself, so a
// score s = q.k / sqrt(d) moves by at most 3 u |q| |k| / sqrt(d) = e (the rolling copy by 2 u, the absolute row by u),
// a weight by a factor within exp(+-2 e), and the mix of values by (exp(2 e) - 1) max |v|.
TEST_F(RunRolling, WithoutEvictionsItIsAbsoluteWithinARounding) {
  RunSetup s(model, kContext);
  struct Layer0 {
    std::vector<float> q, k, v, mix;
  };
  const auto run = [&](const Settings& settings) {
    auto cache = s.cache(settings, 60);
    std::vector<Layer0> all;
    s.engine->attention(true).watch = [&](uint32_t layer, const Activations& a) {
      const auto copy = [](const sluice_mat& m) { return std::vector<float>(m.data, m.data + m.cols); };
      if (layer == 0) all.push_back({copy(a.q), copy(a.k), copy(a.v), copy(a.mix)});
    };
    feed(s, *cache, 0, 60, false);
    s.engine->attention(true).watch = nullptr;
    return all;
  };
  const auto absolute = run({"evictor.name=recent", "cache.budget=60"}),
             anew = run(rolling("recent", {"cache.budget=60"}));
  const uint32_t d = tiny.head_size(), per = tiny.heads / tiny.kv_heads;
  double longest_k = 0, largest_v = 0, moved = 0, bound = 0;
  const auto length = [&](const std::vector<float>& x, uint32_t head) {
    double squares = 0;
    for (uint32_t c = 0; c < d; c++) squares += double(x[head * d + c]) * x[head * d + c];
    return std::sqrt(squares);
  };
  for (size_t t = 0; t < anew.size(); t++) {
    EXPECT_EQ(anew[t].q, absolute[t].q);
    EXPECT_EQ(anew[t].v, absolute[t].v);
    if (t > 0) {
      EXPECT_NE(anew[t].k, absolute[t].k);
    }
    for (uint32_t h = 0; h < tiny.kv_heads; h++) {
      longest_k = std::max(longest_k, length(anew[t].k, h)), largest_v = std::max(largest_v, largest(anew[t].v));
    }
    for (uint32_t h = 0; h < tiny.heads; h++) {
      const double e = 3 * std::ldexp(1, -11) * length(anew[t].q, h) * longest_k / std::sqrt(double(d));
      const double most = (std::exp(2 * e) - 1) * largest_v + 1e-5;  // sums of floats in another order
      for (uint32_t c = h * d; c < (h + 1) * d; c++) {
        const double difference = std::abs(double(anew[t].mix[c]) - absolute[t].mix[c]);
        EXPECT_LE(difference, most) << "token " << t << ", head " << h << " of kv head " << h / per;
        moved = std::max(moved, difference), bound = std::max(bound, most);
      }
    }
  }
  std::printf("mix moved by %.1e, bound %.1e\n", moved, bound);
  EXPECT_GT(moved, 0);  // it is not the same path
}

// Prompts of one token give all tokens new slots, in order of age, and decide as decoding does where nothing is
// observed. Only sums then run in another order.
TEST_F(RunRolling, SlotNumbersDoNotMatter) {
  RunSetup s(model, kContext);
  const Settings settings = rolling("recent", {"cache.budget=40", "cache.interval=1"});
  auto a = s.cache(settings, kTokens), b = s.cache(settings, kTokens);
  double worst = 0, size = 0;
  for (size_t t = 0; t < kTokens; t++) {
    const Bits x = feed(s, *a, t, t + 1, false), y = feed(s, *b, t, t + 1, t % 7 == 3);
    worst = std::max(worst, difference(x[0], y[0])), size = std::max(size, largest(x[0]));
  }
  EXPECT_EQ(a->live_positions(1, 1), b->live_positions(1, 1));
  EXPECT_LT(worst, 2e-4 * size);
}

// Layers that keep different counts are turned up to the fullest one, and a coded V changes nothing about K.
TEST_F(RunRolling, LayersMayDifferAndVMayBeCoded) {
  RunSetup s(model, kContext);
  for (const Settings& more : {Settings{"cache.budget=30", "cache.interval=4"},
                               Settings{"cache.budget=30", "cache.interval=4", "codec.value.name=uniform",
                                        "codec.value.bits=8", "codec.value.block_rows=16"}}) {
    const bool coded = more.size() > 2;
    auto cache = s.cache(rolling(coded ? "recent" : "test-layers", more), kTokens);
    RollingReference reference(tiny);
    double worst = 0, size = 0;
    for (size_t t = 0; t < kTokens; t++) {
      const auto want = expected(reference, *cache, t, t + 1);
      const Bits got = feed(s, *cache, t, t + 1, false);
      worst = std::max(worst, difference(got[0], want[0])), size = std::max(size, largest(got[0]));
    }
    std::printf("%s: largest difference %.1e of logits up to %.1f\n", coded ? "coded V" : "layers", worst, size);
    // Keys that are shifted round to other neighbours in F16 than the reference's, a score of size 8 by as much as
    // 2^-8; eight bits round V by 1/510 of its range.
    EXPECT_LT(worst, (coded ? 1e-2 : 1e-3) * size);
    if (!coded) {
      EXPECT_NE(cache->live_positions(0, 0).size(), cache->live_positions(1, 0).size());
    }
  }
}

TEST_F(RunRolling, ATextMayBeLongerThanTheContext) {
  RunSetup s(model, kContext);
  EXPECT_THAT(message_of([&] {
                s.cache({"evictor.name=recent", "cache.budget=40"}, kTokens);
              }),
              HasSubstr("200 tokens do not fit the context of 64"));
  auto cache = s.cache(rolling("recent"), kTokens);
  GenerateOptions options;
  options.tokens = 150, options.exact = true, options.ignore_end = true;
  Sampler sampler({});
  const Generation g = generate(*s.engine, *cache, std::span(tokens).first(50), sampler, options);
  EXPECT_EQ(g.tokens.size(), 150u);
  EXPECT_EQ(cache->seen(), 199u);
  EXPECT_LE(cache->tokens_kept(), 40);
  // A prompt that is longer than the context comes in chunks.
  auto whole = s.cache(rolling("recent"), kTokens);
  EXPECT_THAT(
      message_of([&] { feed(s, *whole, 0, 100, true); }),
      HasSubstr("a prompt of 100 tokens at once exceeds the 64 that the model was trained on; set [cache] prefill "
                "= \"chunked\" and chunk to at most 24"));
  EXPECT_EQ(feed(s, *whole, 0, 50, true).size(), 50u);  // nothing had begun
  const Settings chunks = {"cache.budget=40", "cache.interval=4", "cache.prefill=chunked", "cache.chunk=24"};
  auto chunked = s.cache(rolling("recent", chunks), kTokens);
  s.engine->feed_prompt(*chunked, tokens, Want::kLast, true, [](std::span<const LogitRow>) {});
  EXPECT_EQ(chunked->seen(), kTokens);
  Settings too_long = chunks;
  too_long.back() = "cache.chunk=25";
  EXPECT_THAT(message_of([&] { s.cache(rolling("recent", too_long), kTokens); }),
              HasSubstr("a lane may come to 65 with a step's own, more than the 64 that the model was trained on"));
}

TEST_F(RunRolling, WhatCannotBeCountedAnewIsRefused) {
  RunSetup s(model, kContext);
  const auto refusal = [&](Settings settings) {
    settings.push_back("cache.positions=rolling");
    return message_of([&] { s.policy(settings); });
  };
  EXPECT_THAT(refusal({}), HasSubstr("without an evictor all are"));
  EXPECT_THAT(refusal({"evictor.name=recent", "cache.budget=40", "codec.name=uniform"}),
              HasSubstr("codec uniform would code them"));
  for (const char* evictor : {"test-rows", "test-window"})
    EXPECT_THAT(refusal({std::string("evictor.name=") + evictor, "cache.budget=40"}), HasSubstr("reads rows of K"));
  EXPECT_THAT(refusal({"evictor.name=test-ragged", "cache.budget=40"}), HasSubstr("budgets of their own"));
  // Rows of a prefix are those that positions want.
  const Policy& policy = s.cache(rolling("recent"), kContext)->policy();
  Policy other = snapshot_policy(policy);
  other.rolling = false;
  auto prefix = s.engine->create_cache(other, 0, kContext);
  feed(s, *prefix, 0, 20, true);
  auto cache = s.cache(rolling("recent"), kContext);
  EXPECT_THAT(message_of([&] {
                s.engine->prompt({cache.get(), std::span(tokens).subspan(20, 20), Want::kLast}, prefix.get(), true,
                                 [](std::span<const LogitRow>) {});
              }),
              HasSubstr("stored as positions = \"rolling\" wants it"));
}

// The copy is one layer's K, made for the budget; what a prompt needed beyond is given back.
TEST_F(RunRolling, TheCopyIsCounted) {
  RunSetup s(model, kContext);
  const Settings settings = {"cache.budget=20", "cache.interval=4"};
  auto cache = s.cache(rolling("recent", settings), kTokens);
  auto absolute = s.cache({"evictor.name=recent", "cache.budget=20", "cache.interval=4"}, kContext);
  feed(s, *cache, 0, 60, true), feed(s, *absolute, 0, 60, true);
  const uint64_t row = uint64_t(tiny.kv_heads) * tiny.head_size() * sizeof(uint16_t);
  EXPECT_EQ(cache->ledger()[Kind::kRotatedKeys], 32 * row);  // budget, interval and a token, up to 32 rows
  EXPECT_EQ(absolute->ledger()[Kind::kRotatedKeys], 0u);
  EXPECT_EQ(cache->ledger()[Kind::kPositions], 2 * absolute->ledger()[Kind::kPositions]);
  EXPECT_GE(cache->owner().peak, absolute->owner().peak + 60 * row);
  EXPECT_EQ(cache->ledger().total() - cache->policy().plugin_bytes(), cache->owner().live);
}

}  // namespace
}  // namespace sluice
