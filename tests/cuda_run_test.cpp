// Whole runs on the emulated GPU, whose memory the host cannot touch, against the same runs on the cpu backend: logits
// within tolerance, the same victims, ledgers to the byte, codecs simulated.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "core/base/error.h"
#include "core/run/engine.h"
#include "core/run/policy_builder.h"
#include "support/extension_evictors.h"
#include "support/tiny_model.h"
#include "tests/cuda_fixture.h"

namespace sluice::testing {
namespace {

using cuda::emulated_counts;
using cuda::guard_emulated_memory;

constexpr uint32_t kTokens = 105, kPrompt = 70;

// All built plugins but the real cuda backend, whose place the emulated one takes.
std::vector<std::filesystem::path> libraries() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_PLUGINS))
    if (entry.path().string().ends_with(".sluice.so") && entry.path().filename() != "cuda.sluice.so")
      found.push_back(entry.path());
  return found;
}

struct CudaSetup {
  ThreadPool pool{2};
  Registry registry;
  std::vector<std::string> base;
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Policy>> policies;

  CudaSetup(const std::filesystem::path& model, const std::string& backend, const std::string& memory = "")
      : registry(libraries(), pool), base{"model.path=\"" + model.string() + "\"", "backend.name=" + backend} {
    registry.add(*sluice_plugin_entry());
    registry.add(extension_evictors_plugin());
    if (!memory.empty()) base.push_back("backend.memory=\"" + memory + "\"");
    Engine::Options options;
    options.context = 256;
    engine = std::make_unique<Engine>(registry, config({}), options);
  }
  Config config(std::vector<std::string> settings) const {
    settings.insert(settings.end(), base.begin(), base.end());
    return default_config(settings, &registry);
  }
  std::unique_ptr<SequenceCache> cache(const std::vector<std::string>& settings) {
    const Config c = config(settings);
    policies.push_back(build_policy(registry, c, engine->geometry(), engine->simulates_codecs()));
    return engine->create_cache(*policies.back(), budget_tokens(c, *policies.back(), kTokens), kTokens);
  }
};

using Logits = std::vector<std::vector<float>>;  // [token][vocab]

class CudaRun : public ::testing::Test {
 protected:
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_cuda_" + std::to_string(getpid()) + ".gguf");
  std::vector<int32_t> tokens;
  CudaRun() {
    guard_emulated_memory(true);
    TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 64, tiny.ffn = 96, tiny.vocab = 300;
    write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < kTokens; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
  }
  ~CudaRun() override {
    std::filesystem::remove(model);
    guard_emulated_memory(false);
  }

  // Logits of tokens [first, last): the first as a prompt of `prompt` tokens, then one by one.
  Logits feed(CudaSetup& s, SequenceCache& cache, size_t first, size_t last, size_t prompt,
              const SequenceCache* prefix = nullptr) {
    Logits all;
    const auto take = [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows) all.emplace_back(row.logits.begin(), row.logits.end());
    };
    if (prompt) s.engine->prompt({&cache, std::span(tokens).subspan(first, prompt), Want::kAll}, prefix, true, take);
    for (size_t t = first + prompt; t < last; t++) {
      const Feed one{&cache, std::span(tokens).subspan(t, 1), Want::kLast};
      s.engine->step({&one, 1}, true, take);
    }
    return all;
  }
};

// The mean over tokens of KL(a, b).
double divergence(const Logits& a, const Logits& b) {
  double sum = 0;
  for (size_t t = 0; t < a.size(); t++) {
    const auto normal = [&](const std::vector<float>& x) {
      double total = 0;
      for (const float v : x) total += std::exp(double(v));
      return std::log(total);
    };
    const double na = normal(a[t]), nb = normal(b[t]);
    for (size_t i = 0; i < a[t].size(); i++) {
      const double p = double(a[t][i]) - na, q = double(b[t][i]) - nb;
      sum += std::exp(p) * (p - q);
    }
  }
  return sum / double(a.size());
}

// What floats summed in another order may make of logits: a number of K or V that lies at the edge of two F16 numbers
// becomes the other one, 2^-11 of itself away, and two layers have two sides each.
double tolerance(const Logits& a) {
  double largest = 0;
  for (const auto& row : a)
    for (const float x : row) largest = std::max(largest, std::abs(double(x)));
  return 4 * 0x1p-11 * largest;
}

double largest_error(const Logits& a, const Logits& b) {
  double most = 0;
  for (size_t t = 0; t < a.size(); t++)
    for (size_t i = 0; i < a[t].size(); i++) most = std::max(most, std::abs(double(a[t][i]) - double(b[t][i])));
  return most;
}

const std::vector<std::vector<std::string>> kDense = {
    {},
    {"evictor.name=h2o", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=sieve", "evictor.recent=8", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=recent", "cache.budget=40", "cache.interval=1"},
    {"evictor.name=h2o", "cache.budget=40", "cache.interval=4", "cache.granularity=layer"},
    {"evictor.name=test-rows", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=test-window", "cache.budget=40", "cache.interval=4"},
    {"evictor.name=test-ragged", "cache.budget=40", "cache.interval=4"},
};

TEST_F(CudaRun, DenseRowsGiveTheSameLogitsAndVictimsAsOnTheCpu) {
  CudaSetup cpu(model, "cpu"), gpu(model, "cuda");
  for (const auto& settings : kDense) {
    SCOPED_TRACE(::testing::PrintToString(settings));
    auto a = cpu.cache(settings), b = gpu.cache(settings);
    a->record_victims(1), b->record_victims(1);
    const Logits la = feed(cpu, *a, 0, kTokens, kPrompt), lb = feed(gpu, *b, 0, kTokens, kPrompt);
    ASSERT_EQ(la.size(), lb.size());
    EXPECT_LE(largest_error(la, lb), tolerance(la));
    EXPECT_EQ(a->recorded_victims(), b->recorded_victims());
    for (uint32_t layer = 0; layer < 2; layer++)
      for (uint32_t head = 0; head < 2; head++)
        EXPECT_EQ(a->live_positions(layer, head), b->live_positions(layer, head));
    EXPECT_EQ(b->ledger().total(), b->owner().live + b->ledger()[Kind::kPlugin]);
  }
}

TEST_F(CudaRun, SimulatedCodecsErrAsTheCodecDoes) {
  CudaSetup cpu(model, "cpu"), gpu(model, "cuda");
  const std::vector<std::vector<std::string>> coded = {
      {"codec.name=uniform", "codec.bits=8", "codec.block_rows=16"},
      {"codec.name=group", "codec.bits=2", "codec.group=32", "codec.residual=32", "codec.value_window=sliding"},
      {"codec.name=gear", "codec.group=32", "codec.buffer=32"},
      {"codec.name=gear", "codec.group=32", "codec.buffer=32", "evictor.name=h2o", "cache.budget=72",
       "cache.interval=4"},
  };
  for (const auto& settings : coded) {
    SCOPED_TRACE(::testing::PrintToString(settings));
    auto a = cpu.cache(settings), b = gpu.cache(settings);
    auto plain = cpu.cache({});
    const Logits la = feed(cpu, *a, 0, kTokens, kPrompt), lb = feed(gpu, *b, 0, kTokens, kPrompt),
                 exact = feed(cpu, *plain, 0, kTokens, kPrompt);
    EXPECT_GT(b->counters().coded, 0u);
    // Decoded rows are rounded to F16, which is little beside what the codec loses.
    EXPECT_LE(divergence(la, lb), 0.02 * divergence(exact, la) + 1e-6);
    EXPECT_TRUE(gpu.policies.back()->simulated());
    EXPECT_NE(describe_policy(gpu.config(settings), *gpu.policies.back(), 0).find("simulated"), std::string::npos);
  }
}

TEST_F(CudaRun, ForksAndSharedPrefixesGoOnAsTheirOriginals) {
  CudaSetup gpu(model, "cuda");
  for (const auto& settings : {kDense[0], kDense[1], kDense[2]}) {
    SCOPED_TRACE(::testing::PrintToString(settings));
    auto whole = gpu.cache(settings), parent = gpu.cache(settings);
    const Logits all = feed(gpu, *whole, 0, kTokens, kPrompt);
    feed(gpu, *parent, 0, 90, kPrompt);
    SequenceCache fork(*parent);
    const Logits rest(all.begin() + 90, all.end());
    EXPECT_EQ(largest_error(rest, feed(gpu, fork, 90, kTokens, 0)), 0);
    EXPECT_EQ(largest_error(rest, feed(gpu, *parent, 90, kTokens, 0)), 0);

    const Policy snapshot = snapshot_policy(*gpu.policies.back());
    auto prefix = gpu.engine->create_cache(snapshot, 0, kTokens);
    feed(gpu, *prefix, 0, 30, 30);
    auto shares = gpu.cache(settings);
    const Logits behind = feed(gpu, *shares, 30, kTokens, kPrompt - 30, prefix.get());
    EXPECT_LE(largest_error({all.begin() + 30, all.end()}, behind), tolerance(all));
  }
}

TEST_F(CudaRun, SequencesOfDifferentPoliciesShareAStep) {
  CudaSetup gpu(model, "cuda");
  std::vector<std::unique_ptr<SequenceCache>> alone, together;
  std::vector<Logits> want;
  for (const auto& settings : {kDense[0], kDense[1], kDense[2]}) {
    alone.push_back(gpu.cache(settings)), together.push_back(gpu.cache(settings));
    want.push_back(feed(gpu, *alone.back(), 0, 60, 30));
    feed(gpu, *together.back(), 0, 30, 30);
  }
  for (size_t t = 30; t < 60; t++) {
    std::vector<Feed> feeds;
    for (const auto& cache : together) feeds.push_back({cache.get(), std::span(tokens).subspan(t, 1), Want::kLast});
    gpu.engine->step(feeds, true, [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows)
        EXPECT_LE(largest_error({want[row.feed][t]}, {{row.logits.begin(), row.logits.end()}}),
                  tolerance(want[row.feed]));
    });
  }
}

TEST_F(CudaRun, GivesAllMemoryBack) {
  const uint64_t before = emulated_counts().backed;
  {
    CudaSetup gpu(model, "cuda");
    auto cache = gpu.cache(kDense[1]);
    feed(gpu, *cache, 0, 80, kPrompt);
    EXPECT_GT(emulated_counts().backed, before);
  }
  EXPECT_EQ(emulated_counts().backed, before);
}

TEST_F(CudaRun, RollingPositionsAreRefusedWithTheRemedy) {
  CudaSetup gpu(model, "cuda");
  try {
    gpu.cache({"evictor.name=recent", "cache.budget=40", "cache.interval=1", "cache.positions=rolling"});
    FAIL() << "rolling positions should be refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("use backend \"cpu\""), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace sluice::testing
