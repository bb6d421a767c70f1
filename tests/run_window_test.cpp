// The queries that an evictor gets of a prompt are those that attention used, whatever tiles the prompt went through.
#include <gtest/gtest.h>

#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using testing::hooks;

struct RunWindow : ::testing::Test {
  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_window_" + std::to_string(getpid()) + ".gguf");
  std::vector<int32_t> tokens;
  RunWindow() {
    testing::TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192;
    testing::write_tiny_gguf(model, tiny);
    for (uint32_t i = 0; i < 300; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
    hooks = {};
  }
  ~RunWindow() override {
    hooks = {};
    std::filesystem::remove(model);
  }
};

TEST_F(RunWindow, HoldsTheQueriesThatAttentionUsed) {
  testing::RunSetup s(model, 512, 1);
  const uint32_t heads = 4, head_dim = 32, cols = heads * head_dim;
  // [layer][position]: a row of all query heads
  std::vector<std::vector<std::vector<float>>> asked(s.engine->geometry().layers);
  s.engine->attention(true).watch = [&](uint32_t layer, const Activations& a) {
    for (uint32_t r = 0; r < a.q.rows; r++)
      asked[layer].emplace_back(a.q.data + size_t(r) * cols, a.q.data + size_t(r + 1) * cols);
  };
  uint32_t windows = 0;
  hooks.window = [&](const sluice_lanes& lanes, uint32_t count, const float* queries, const uint32_t* positions,
                     const sluice_rows&) {
    ASSERT_EQ(count, 16u);
    for (uint32_t i = 0; i < count; i++) {
      ASSERT_EQ(positions[i], asked[lanes.layer].size() - count + i);
      for (uint32_t h = 0; h < heads; h++)
        for (uint32_t c = 0; c < head_dim; c++)
          ASSERT_EQ(queries[(size_t(h) * count + i) * head_dim + c],
                    asked[lanes.layer][positions[i]][h * head_dim + c]);
    }
    windows++;
  };
  const LogitSink sink = [](std::span<const LogitRow>) {};
  const uint32_t layers = s.engine->geometry().layers;
  // 264 rows: the last eight are a tile of their own, the other eight of the window lie in the tile before.
  auto whole = s.cache({"evictor.name=test-window", "cache.budget=60", "cache.interval=4"}, 300);
  s.engine->prompt({whole.get(), std::span(tokens).subspan(0, 264), Want::kLast}, nullptr, true, sink);
  EXPECT_EQ(windows, layers);
  // In chunks, two sequences in a batch of which the second is looked at.
  for (auto& of_layer : asked) of_layer.clear();
  s.engine->attention(true).watch = [&](uint32_t layer, const Activations& a) {
    for (uint32_t r = 5; r < a.q.rows; r++)
      asked[layer].emplace_back(a.q.data + size_t(r) * cols, a.q.data + size_t(r + 1) * cols);
  };
  auto chunked = s.cache(
      {"evictor.name=test-window", "cache.budget=60", "cache.interval=4", "cache.chunk=24", "cache.prefill=chunked"},
      300);
  auto other = s.cache({}, 300);
  for (uint32_t first = 0; first < 96; first += 24) {
    const Feed feeds[] = {{other.get(), std::span(tokens).subspan(first, 5), Want::kNothing},
                          {chunked.get(), std::span(tokens).subspan(first, 24), Want::kNothing}};
    s.engine->step(feeds, true, sink);
  }
  EXPECT_EQ(windows, 5 * layers);
  s.engine->attention(true).watch = {};
}

}  // namespace
}  // namespace sluice
