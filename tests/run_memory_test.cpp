// A backend that runs out of memory: an engine that cannot be made gives all back, one that cannot grow goes on with
// what it has. And runs that are interrupted keep what they have.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>

#include "core/base/error.h"
#include "core/bench/measure.h"
#include "core/run/lockstep.h"
#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

// The cpu backend, with a limit on how many buffers and weights it makes.
const sluice_backend* cpu;
int64_t left = INT64_MAX;  // buffers and weights that may still be made
int64_t held = 0;          // not given back yet

const sluice_plugin& scarce_backend(const sluice_module& model) {
  cpu = static_cast<const sluice_backend*>(model.table);
  static sluice_backend table;
  table = *cpu;
  table.buffer_create = [](void* self, uint32_t use, uint64_t bytes, void** address) {
    if (left-- <= 0) return sluice_status(SLUICE_NO_MEMORY);
    const sluice_status status = cpu->buffer_create(self, use, bytes, address);
    held += status == SLUICE_OK;
    return status;
  };
  table.buffer_destroy = [](void* self, void* address) { held--, cpu->buffer_destroy(self, address); };
  table.weight_create = [](void* self, uint32_t type, uint32_t rows, uint32_t cols, const void* data, uint64_t bytes,
                           sluice_weight** w) {
    if (left-- <= 0) return sluice_status(SLUICE_NO_MEMORY);
    const sluice_status status = cpu->weight_create(self, type, rows, cols, data, bytes, w);
    held += status == SLUICE_OK;
    return status;
  };
  table.weight_destroy = [](void* self, sluice_weight* w) { held--, cpu->weight_destroy(self, w); };
  static sluice_module module;
  module = model;
  module.table = &table, module.name = "scarce";
  static const sluice_module* const modules[] = {&module};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
  return plugin;
}

struct RunMemory : ::testing::Test {
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_memory_" + std::to_string(getpid()) + ".gguf");
  std::vector<int32_t> tokens;
  RunMemory() {
    testing::TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192;
    testing::write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < 160; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
  }
  ~RunMemory() override { std::filesystem::remove(model); }
};

TEST_F(RunMemory, WhatTheBackendCannotGiveIsNoLeakAndNoDanglingPointer) {
  ThreadPool pool(2);
  Registry registry(testing::RunSetup::folders(), pool);
  registry.add(scarce_backend(registry.find(SLUICE_BACKEND, "cpu")));
  const Config config = default_config(
      std::vector<std::string>{"model.path=\"" + model.string() + "\"", "backend.name=scarce"}, &registry);
  Engine::Options options;
  options.context = 256;
  std::unique_ptr<Engine> engine;
  int64_t needed = 0;
  for (; !engine; needed++) {
    left = needed;
    try {
      engine = std::make_unique<Engine>(registry, config, options);
    } catch (const Error&) {
      ASSERT_EQ(held, 0) << "after " << needed;
    }
  }
  EXPECT_GT(needed, 10);

  const auto policy = build_policy(registry, config, engine->geometry());
  auto last = [&](SequenceCache& cache, size_t first, size_t count, bool prompt) {
    std::vector<float> logits;
    const Feed feed{&cache, std::span(tokens).subspan(first, count), Want::kLast};
    const LogitSink sink = [&](std::span<const LogitRow> rows) {
      logits.assign(rows[0].logits.begin(), rows[0].logits.end());
    };
    if (prompt)
      engine->prompt(feed, nullptr, true, sink);
    else
      engine->step({&feed, 1}, true, sink);
    return logits;
  };
  left = INT64_MAX;
  auto cache = engine->create_cache(*policy, 0, 256), twin = engine->create_cache(*policy, 0, 256);
  last(*cache, 0, 1, false), last(*twin, 0, 1, false);
  // Every allocation of larger room fails once; small steps still run in between, and their logits are the twin's.
  uint32_t failures = 0;
  size_t at = 1;
  for (int64_t allowed = 0;; allowed++) {
    auto large = engine->create_cache(*policy, 0, 256);
    left = allowed;
    bool failed = false;
    try {
      last(*large, 0, 64, true);
    } catch (const Error&) {
      failed = true, failures++;
    }
    left = INT64_MAX;
    if (!failed) break;
    ASSERT_EQ(last(*cache, at, 1, false), last(*twin, at, 1, false));
    at++;
    ASSERT_LT(at, tokens.size());
  }
  EXPECT_GE(failures, 12u) << "as many as the room has buffers";
  cache.reset(), twin.reset();
  engine.reset();
  EXPECT_EQ(held, 0);
}

TEST_F(RunMemory, AnInterruptedComparisonSaysWhatWasCompressed) {
  testing::RunSetup s(model, 256);
  const Config full = s.config({}), coded = s.config({"codec.name=uniform", "codec.block_rows=16"});
  const auto a = build_policy(s.registry, full, s.engine->geometry()),
             b = build_policy(s.registry, coded, s.engine->geometry());
  const LockstepPolicy policies[] = {{&full, a.get(), true}, {&coded, b.get()}};
  std::atomic<bool> stop{false};
  LockstepOptions options;
  uint64_t done = 0;
  options.stop = &stop, options.speed = false;
  options.progress = [&](uint64_t n, const std::string&) { stop = (done += n) >= 90; };
  const auto rows = run_lockstep(*s.engine, policies, tokens, options);
  EXPECT_EQ(done, 90u);
  EXPECT_EQ(rows[0].compressed_before_scoring, 0u);
  EXPECT_GT(rows[1].compressed_before_scoring, 16u);
}

TEST_F(RunMemory, AnInterruptIsHeardWithinATest) {
  testing::RunSetup s(model, 256);
  const Config config = s.config({});
  const auto policy = build_policy(s.registry, config, s.engine->geometry());
  std::atomic<bool> stop{false};
  uint64_t steps = 0;
  s.engine->attention(true).watch = [&](uint32_t layer, const Activations&) {
    if (layer == 0 && ++steps == 20) stop = true;
  };
  EXPECT_THROW(measure(*s.engine, config, *policy, {0, 100, 0, 1}, 3, true, tokens, &stop), Error);
  EXPECT_EQ(steps, 20u);
  stop = false;
  s.engine->attention(true).watch = nullptr;
  const BenchRow row = measure(*s.engine, config, *policy, {0, 10, 20, 2}, 2, true, tokens, &stop);
  EXPECT_GT(row.tok_s, 0);
  EXPECT_GT(row.gb_s, 0);
  // Each of a layer's operations is a call at least, and a call is counted once.
  const double layers = s.engine->hyper().layers;
  EXPECT_GE(row.calls, 15 * layers);
  EXPECT_LE(row.calls, 28 * layers + 20);
}

}  // namespace
}  // namespace sluice
