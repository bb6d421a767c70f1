// What the probe says of attention is what its inputs give: keys and queries recorded on their way, outputs compared
// row by row, and exactly nothing lost where nothing is evicted.
#include <gtest/gtest.h>

#include <cmath>

#include "core/run/attention.h"
#include "core/run/attention_probe.h"
#include "core/run/lockstep.h"
#include "sluice/half.h"
#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

constexpr uint32_t kHeads = 4, kLanes = 2, kDim = 32, kTokens = 60;

struct RunAttention : ::testing::Test {
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_attention_" + std::to_string(getpid()) + ".gguf");
  std::vector<int32_t> tokens;
  RunAttention() {
    testing::TinyModel tiny;
    tiny.heads = kHeads, tiny.kv_heads = kLanes, tiny.head_dim = kDim, tiny.width = 128, tiny.ffn = 192;
    testing::write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < kTokens; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
  }
  ~RunAttention() override { std::filesystem::remove(model); }
};

// Sums of one layer, gathered beside the probe from the activations alone.
struct Expected {
  std::vector<std::vector<float>> keys;  // [tokens][kv_heads * head_dim], rounded as the cache does
  double output = 0, difference = 0, mass[kLanes] = {};
};

double reference_mass(const Expected& e, const float* query, uint32_t lane, const std::vector<uint32_t>& held) {
  std::vector<double> weights;
  double sum = 0, kept = 0;
  for (const auto& key : e.keys) {
    double dot = 0;
    for (uint32_t c = 0; c < kDim; c++) dot += double(query[c]) * key[lane * kDim + c];
    weights.push_back(std::exp(dot / std::sqrt(double(kDim))));
    sum += weights.back();
  }
  for (const uint32_t p : held) kept += weights[p];
  return kept / sum;
}

TEST_F(RunAttention, ErrorAndMassAreThoseOfTheActivations) {
  testing::RunSetup s(model, 128, 1);
  const uint32_t layers = s.engine->geometry().layers, every = 3;
  auto full = s.cache({}, kTokens);
  auto recent = s.cache({"evictor.name=recent", "cache.budget=24", "cache.interval=4"}, kTokens);
  AttentionProbe probe(*s.engine, true, {full.get(), recent.get()});
  const auto look = s.engine->attention(true).watch;
  std::vector<Expected> expected(layers);
  uint32_t at = 0, looked = 0;
  s.engine->attention(true).watch = [&](uint32_t layer, const Activations& a) {
    look(layer, a);
    Expected& e = expected[layer];
    std::vector<float>& key = e.keys.emplace_back(a.k.data, a.k.data + a.k.cols);
    for (float& x : key) x = sluice_from_half(sluice_to_half(x));
    if (at % every != 0) return;
    for (uint32_t c = 0; c < a.mix.cols; c++) {
      const double reference = a.mix.data[c], other = a.mix.data[a.mix.cols + c];
      e.output += reference * reference, e.difference += (other - reference) * (other - reference);
    }
    for (uint32_t h = 0; h < kHeads; h++) {
      const uint32_t lane = h / (kHeads / kLanes);
      e.mass[lane] +=
          reference_mass(e, a.q.data + h * kDim, lane, recent->live_positions(layer, lane)) / (kHeads / kLanes);
    }
  };
  for (; at < kTokens; at++) {
    probe.look(at % every == 0), looked += at % every == 0;
    const Feed feeds[] = {{full.get(), {&tokens[at], 1}, Want::kLast}, {recent.get(), {&tokens[at], 1}, Want::kLast}};
    s.engine->step(feeds, true, [](std::span<const LogitRow>) {});
  }
  const AttentionFigures f = probe.figures(1);
  EXPECT_EQ(f.positions, looked);
  ASSERT_EQ(f.output_error.size(), layers);
  ASSERT_EQ(f.mass_kept.size(), layers);
  for (uint32_t l = 0; l < layers; l++) {
    // Both sum in double over the same floats; the order of some hundred terms is all that differs.
    EXPECT_NEAR(f.output_error[l], std::sqrt(expected[l].difference / expected[l].output), 1e-9);
    EXPECT_GT(f.output_error[l], 0);
    for (uint32_t h = 0; h < kLanes; h++) {
      EXPECT_NEAR(f.mass_kept[l][h], expected[l].mass[h] / looked, 1e-9);
      EXPECT_LT(f.mass_kept[l][h], 1);
    }
  }
  EXPECT_TRUE(probe.figures(0).mass_kept.empty());
  EXPECT_EQ(probe.figures(0).output_error[0], 0);
}

TEST_F(RunAttention, ABudgetForAllKeepsAllAttention) {
  testing::RunSetup s(model, 128, 1);
  const std::vector<std::vector<std::string>> settings = {
      {}, {"evictor.name=recent", "cache.budget=100"}, {"codec.name=uniform", "codec.bits=8", "codec.block_rows=16"}};
  std::vector<Config> configs;
  for (const auto& each : settings) configs.push_back(s.config(each));
  std::vector<LockstepPolicy> policies;
  for (size_t i = 0; i < settings.size(); i++) policies.push_back({&configs[i], &s.policy(settings[i]), i == 0});
  LockstepOptions options;
  options.speed = false, options.attention_every = 5;
  const std::vector<PolicyResult> rows = run_lockstep(*s.engine, policies, tokens, options);
  for (const PolicyResult& row : rows) {
    ASSERT_TRUE(row.attention);
    EXPECT_EQ(row.attention->positions, kTokens / 5);
  }
  for (const double e : rows[1].attention->output_error) EXPECT_EQ(e, 0);
  for (const auto& lanes : rows[1].attention->mass_kept)
    for (const double m : lanes) EXPECT_NEAR(m, 1, 1e-12);
  EXPECT_TRUE(rows[2].attention->mass_kept.empty());
  for (const double e : rows[2].attention->output_error) EXPECT_GT(e, 0);
  EXPECT_FALSE(s.engine->attention(true).watch) << "nobody looks any more";
  options.attention_every = 0;
  for (const PolicyResult& row : run_lockstep(*s.engine, policies, tokens, options)) EXPECT_FALSE(row.attention);
}

}  // namespace
}  // namespace sluice
