// The graph with K and V in F32: what an exact engine computes when no row is rounded at all, held against float64
// programs' logits. It separates errors of the graph from those of F16 rows, which run_reference_test.cpp allows for.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/report/statistics.h"
#include "support/run_setup.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using testing::RunSetup;

// Causal attention of all rows at once, on host memory, in double precision over F32 keys and values.
struct FloatAttention final : Attention {
  const Hyperparameters& p;
  ThreadPool& pool;
  FloatAttention(const Hyperparameters& hyper, ThreadPool& threads) : p(hyper), pool(threads) {}

  void attend(uint32_t, const Activations& a, const uint32_t*) override {
    const uint32_t d = p.head_dim, per = p.heads / p.kv_heads;
    pool.each(a.q.rows * p.heads, [&](uint32_t i) {
      const uint32_t row = i / p.heads, head = i % p.heads, kv = head / per;
      const float* const q = a.q.data + uint64_t(row) * a.q.cols + uint64_t(head) * d;
      std::vector<double> weights(row + 1), sums(d);
      double largest = -INFINITY, total = 0;
      for (uint32_t t = 0; t <= row; t++) {
        const float* const k = a.k.data + uint64_t(t) * a.k.cols + uint64_t(kv) * d;
        double score = 0;
        for (uint32_t c = 0; c < d; c++) score += double(q[c]) * k[c];
        weights[t] = score / std::sqrt(double(d));
        largest = std::max(largest, weights[t]);
      }
      for (double& w : weights) w = std::exp(w - largest), total += w;
      for (uint32_t t = 0; t <= row; t++) {
        const float* const v = a.v.data + uint64_t(t) * a.v.cols + uint64_t(kv) * d;
        for (uint32_t c = 0; c < d; c++) sums[c] += weights[t] / total * v[c];
      }
      float* const out = a.mix.data + uint64_t(row) * a.mix.cols + uint64_t(head) * d;
      for (uint32_t c = 0; c < d; c++) out[c] = float(sums[c]);
    });
  }
};

// Logits [ids][vocab] of a whole text.
std::vector<std::vector<float>> logits_of(RunSetup& s, const std::vector<int32_t>& ids) {
  const Hyperparameters& p = s.engine->hyper();
  const Weights& weights = s.engine->weights();
  const Ops ops(s.engine->backend(), true);
  const auto rows = uint32_t(ids.size());
  std::vector<void*> buffers;
  const auto buffer = [&](uint64_t cells) {
    void* address = nullptr;
    ops.check(ops.table().buffer_create(ops.self(), SLUICE_USE_ACTIVATIONS, cells * sizeof(float), &address),
              "buffer_create");
    buffers.push_back(address);
    return address;
  };
  const auto matrix = [&](uint32_t n, uint32_t cols) {
    return sluice_mat{static_cast<float*>(buffer(uint64_t(n) * cols)), n, cols};
  };
  auto* const tokens = static_cast<uint32_t*>(buffer(rows));
  auto* const positions = static_cast<uint32_t*>(buffer(rows));
  for (uint32_t i = 0; i < rows; i++) tokens[i] = uint32_t(ids[i]), positions[i] = i;
  const uint32_t q = p.heads * p.head_dim, kv = p.kv_heads * p.head_dim;
  const Activations a{matrix(rows, p.width),     matrix(rows, p.width),    matrix(rows, q),
                      matrix(rows, q),           matrix(rows, kv),         matrix(rows, kv),
                      matrix(rows, p.ffn_width), matrix(rows, p.ffn_width)};
  FloatAttention attention(p, s.pool);
  ops.embed(weights.embedding, tokens, a.x);
  for (uint32_t l = 0; l < p.layers; l++)
    llama_block(ops, p, weights, l, a, {positions, positions, positions}, attention);
  std::vector<std::vector<float>> all;
  const uint32_t tile = std::min(rows, 64u);
  const sluice_mat h = matrix(tile, p.width), logits = matrix(tile, p.vocab);
  for (uint32_t first = 0; first < rows; first += tile) {
    const uint32_t n = std::min(tile, rows - first);
    llama_logits(ops, p, weights, a.x, positions + first, {h.data, n, p.width}, {logits.data, n, p.vocab});
    ops.wait();
    for (uint32_t i = 0; i < n; i++)
      all.emplace_back(logits.data + uint64_t(i) * p.vocab, logits.data + uint64_t(i + 1) * p.vocab);
  }
  for (void* address : buffers) ops.table().buffer_destroy(ops.self(), address);
  return all;
}

nlohmann::json reference(const std::string& name) {
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/reference/" + name + ".json");
  return nlohmann::json::parse(file);
}

// Every token's log-probability within what float32 arithmetic costs the references' own float32 runs (2e-3), the mean
// within 1e-5 of it per token.
void check_likelihoods(const std::vector<std::vector<float>>& logits, const nlohmann::json& ref) {
  const std::vector<int32_t> ids = ref["ids"];
  const std::vector<double> want = ref["logprob"];
  double worst = 0, mean = 0;
  for (size_t i = 0; i < want.size(); i++) {
    const double nll = negative_log_likelihood(logits[i], uint32_t(ids[i + 1]));
    worst = std::max(worst, std::abs(nll + want[i]));
    mean += nll / double(want.size());
  }
  std::printf("F32 rows: mean NLL %.6f (%.6f), worst token %.1e\n", mean, ref["nll_mean"].get<double>(), worst);
  EXPECT_LT(worst, 2e-3);
  EXPECT_NEAR(mean, ref["nll_mean"].get<double>(), 1e-5);
}

void check_tiny(const char* path, const char* name) {
  SLUICE_NEED_SHARED(model, path);
  const nlohmann::json ref = reference(name);
  RunSetup s(model, 512);
  const auto logits = logits_of(s, ref["ids"]);
  check_likelihoods(logits, ref);
  const std::vector<double> last = ref["last_logits"];
  double worst = 0;
  for (size_t i = 0; i < last.size(); i++) worst = std::max(worst, std::abs(last[i] - logits.back()[i]));
  std::printf("F32 rows: worst of %zu logits %.1e\n", last.size(), worst);
  EXPECT_LT(worst, 5e-3);
}
TEST(RunFloatRows, LogitsOfStories260K) { check_tiny("data/models/stories260K/stories260K.gguf", "stories260K"); }
TEST(RunFloatRows, LogitsOfTinyStories656K) { check_tiny("data/models/tinystories-656K", "tinystories-656K"); }

TEST(RunFloatRows, LogitsOfTheRealModel) {
  SLUICE_NEED_REAL_MODEL(model);
  const nlohmann::json ref = reference("smollm2-135m-instruct-q4_1");
  RunSetup s(model, 1024);
  const auto logits = logits_of(s, ref["ids"]);
  check_likelihoods(logits, ref);
  double worst = 0;
  size_t count = 0;
  for (const auto& at : ref["logits_top"])
    for (size_t i = 0; i < at["top_ids"].size(); i++, count++) {
      const float ours = logits[at["position"].get<size_t>()][at["top_ids"][i].get<size_t>()];
      worst = std::max(worst, std::abs(at["top_logits"][i].get<double>() - ours));
    }
  std::printf("F32 rows: worst of %zu logits %.1e\n", count, worst);
  EXPECT_LT(worst, 5e-3);
}

}  // namespace
}  // namespace sluice
