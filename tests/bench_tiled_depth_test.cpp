// A depth that is tiled holds as much as one that is prefilled, under every kind of policy.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/bench/measure.h"
#include "core/bench/tiled_depth.h"
#include "core/run/kv_report.h"
#include "support/run_setup.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

constexpr uint32_t kDepth = 300;

class BenchTiledDepth : public ::testing::Test {
 protected:
  BenchTiledDepth() {
    testing::TinyModel tiny;
    tiny.head_dim = 32;
    testing::write_tiny_gguf(folder_ / "tiny.gguf", tiny);
    for (uint32_t i = 0; i < 2 * kDepth; i++) tokens.push_back(int32_t(1 + i * 7 % 50));
  }
  std::filesystem::path model() const { return folder_ / "tiny.gguf"; }

  std::vector<int32_t> tokens;

 private:
  testing::ScratchFolder folder_;
};

TEST_F(BenchTiledDepth, HoldsAsMuchAsATruePrompt) {
  testing::RunSetup s(model(), 2 * kDepth);
  const std::vector<std::vector<std::string>> policies = {
      {},
      {"codec.name=uniform", "codec.bits=4"},
      {"codec.name=gear", "codec.bits=4", "codec.group=32"},
      {"evictor.name=h2o", "cache.budget=100"},
      {"evictor.name=sieve", "cache.budget=100"},
      {"evictor.name=h2o", "cache.budget=100", "codec.name=group", "codec.bits=4", "codec.group=32",
       "codec.residual=32"},
      {"evictor.name=recent", "cache.budget=100", "cache.prefill=chunked", "cache.chunk=48"},
  };
  for (const auto& settings : policies) {
    const std::string what = settings.empty() ? "full" : settings.front() + " " + settings.back();
    const auto truly = s.cache(settings, 2 * kDepth), tiled = s.cache(settings, 2 * kDepth);
    const std::span<const int32_t> text(tokens);
    s.engine->feed_prompt(*truly, text.first(kDepth), Want::kNothing, true, [](auto) {});
    tile_depth(*s.engine, *tiled, text.first(kDepth), true);
    EXPECT_EQ(tiled->seen(), truly->seen()) << what;
    EXPECT_EQ(tiled->tokens_kept(), truly->tokens_kept()) << what;
    // Codes of other rows may be longer or shorter where a codec says so itself (GEAR's outliers are as many anyway).
    EXPECT_EQ(kv_bytes(*tiled).bytes, kv_bytes(*truly).bytes) << what;
    // It goes on: whoever attends to it gets finite numbers.
    const Feed feed{tiled.get(), text.subspan(kDepth, 1), Want::kLast};
    bool finite = false;
    s.engine->step({&feed, 1}, true, [&](std::span<const LogitRow> rows) {
      finite = true;
      for (float x : rows[0].logits) finite = finite && std::isfinite(x);
    });
    EXPECT_TRUE(finite) << what;
  }
}

TEST_F(BenchTiledDepth, RollingPositionsAreRefused) {
  testing::RunSetup s(model(), 2 * kDepth);
  const auto cache = s.cache({"evictor.name=recent", "cache.budget=100", "cache.positions=rolling"}, 2 * kDepth);
  EXPECT_THROW(tile_depth(*s.engine, *cache, std::span<const int32_t>(tokens).first(kDepth), true), Error);
}

TEST_F(BenchTiledDepth, RepeatsTheRowsOfAShortPrompt) {
  testing::RunSetup s(model(), 2 * kDepth);
  const auto tiled = s.cache({}, 2 * kDepth), source = s.cache({}, 2 * kDepth);
  const std::span<const int32_t> text(tokens);
  tile_depth(*s.engine, *tiled, text.first(kDepth), true);
  s.engine->feed_prompt(*source, text.first(kTiledTokens), Want::kNothing, true, [](auto) {});
  const uint32_t bytes = 2 * s.engine->hyper().head_dim;
  const auto row = [&](const SequenceCache& cache, uint32_t layer, uint32_t head, uint32_t side, uint32_t r) {
    std::vector<sluice_span> spans(cache.dense_spans(layer, head, side, nullptr));
    cache.dense_spans(layer, head, side, spans.data());
    return static_cast<const char*>(spans[r / 256].src) + r % 256 * bytes;
  };
  for (uint32_t layer = 0; layer < s.engine->hyper().layers; layer++)
    for (uint32_t head = 0; head < s.engine->hyper().kv_heads; head++)
      for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
        for (uint32_t r = 0; r < kDepth; r++)
          ASSERT_EQ(
              std::memcmp(row(*tiled, layer, head, side, r), row(*source, layer, head, side, r % kTiledTokens), bytes),
              0)
              << layer << " " << head << " " << side << " " << r;
}

// What a token costs at least, of a model whose numbers are known.
TEST_F(BenchTiledDepth, ATokensCostIsItsWeightsAndWhatItSees) {
  testing::RunSetup s(model(), 2 * kDepth);
  const Hyperparameters& p = s.engine->hyper();
  KvBytes kv;
  kv.bytes = 1000, kv.tokens_kept = 50;
  double products = 0, bytes = 0, table = 0, output = 0;
  for (const Tensor& t : s.engine->file().tensors()) {
    bytes += double(t.bytes);
    const double n = t.rows > 1 ? double(t.rows) * double(t.cols) : 0;
    if (t.name == "token_embd.weight")
      table = double(t.bytes), output += s.engine->weights().embedding == s.engine->weights().output ? n : 0;
    else if (t.name == "output.weight")
      output += n;
    else
      products += n;
  }
  const bool tied = s.engine->weights().embedding == s.engine->weights().output;
  const double attention = 4.0 * p.heads * p.head_dim * p.layers;
  const TokenCost decode = token_cost(*s.engine, {0, 8, kDepth, 4}, kv, true);
  EXPECT_DOUBLE_EQ(decode.integer_ops, 0) << "exact multiplies floats";
  EXPECT_DOUBLE_EQ(decode.float_ops, 2 * (products + output) + 50 * attention);
  EXPECT_DOUBLE_EQ(decode.bytes, (tied ? bytes : bytes - table + 4 * table / p.vocab) / 4 + 1000);
  const TokenCost prompt = token_cost(*s.engine, {10, 0, kDepth, 1}, kv, true);
  EXPECT_DOUBLE_EQ(prompt.float_ops, 2 * (products + output / 10) + (kDepth + 5) * attention);
  EXPECT_DOUBLE_EQ(prompt.bytes, 0);
}

}  // namespace
}  // namespace sluice
