// Bytes of the Llama-2-7B shape at 4,096 tokens: generated K and V rows go through the real cache and plugins, layer by
// layer as a prompt does and token by token after it; what is stored stands beside the published-style formula with
// the actual numbers of outliers. Needs 4 GiB and a minute or two, so it runs with the long tests.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sluice/half.h"
#include "support/cache_driver.h"

namespace sluice {
namespace {

constexpr uint32_t kLayers = 32, kHeads = 32, kHeadDim = 128, kTokens = 4096;

struct ShapeRow {
  const char* name;
  std::string codec, evictor;
  std::map<std::string, sluice_value> codec_params;
  uint32_t prompt = kTokens, budget = 0;
  // For the formula: bits of codes, scale bits per element, rank of prompt blocks and of decoded ones, outlier share.
  double bits = 16, scale_bits = 0, rank_prompt = 0, rank_decode = 0, outliers = 0;
  double score_bits = 0;  // of the evictor, per element
};

sluice_value integer(int64_t i) {
  sluice_value v;
  v.i = i;
  return v;
}
sluice_value real(double f) {
  sluice_value v;
  v.f = f;
  return v;
}

// Cheap rows with a few large channels, F16 already; what matters here is bytes, not fidelity.
struct RowSource {
  uint64_t state = 88172645463325252ull;
  uint16_t next(uint32_t channel) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    // sign and mantissa at random, exponents around 1, larger in every 32nd channel
    return uint16_t((state & 0x83FF) | (((channel % 32 == 0 ? 17u : 14u) + (state >> 40 & 1)) << 10));
  }
};

class Llama2Shape : public ::testing::Test {
 protected:
  ThreadPool pool{2};
  std::vector<std::filesystem::path> folders{SLUICE_PLUGINS};
  Registry registry{folders, pool};
  Instance backend;
  Llama2Shape() {
    registry.add(testing::memory_backend_plugin());
    backend = registry.create_backend(registry.find(SLUICE_BACKEND, "memory"), {});
  }

  void fill(SequenceCache& cache, uint32_t layer, uint32_t n, uint32_t first, const std::vector<sluice_store>& places, RowSource& source) {
    for (uint32_t h = 0; h < kHeads; h++) {
      for (uint32_t side : {0u, 1u}) {
        std::vector<sluice_span> spans(cache.dense_spans(layer, h, side, nullptr));
        cache.dense_spans(layer, h, side, spans.data());
        for (uint32_t i = 0; i < n; i++) {
          const sluice_store& to = places[uint64_t(i) * kHeads + h];
          const uint32_t row = side ? to.v_row : to.k_row;
          auto* x = static_cast<uint16_t*>(const_cast<void*>(spans[row / kSegmentRows].src)) + row % kSegmentRows * kHeadDim;
          for (uint32_t c = 0; c < kHeadDim; c++) x[c] = source.next(c);
        }
      }
      uint32_t* pos = cache.slot_pos(layer) + uint64_t(h) * cache.slot_stride(layer);
      for (uint32_t i = 0; i < n; i++) {
        uint32_t& p = pos[places[uint64_t(i) * kHeads + h].slot];
        if (p != first + i) p = first + i;
      }
      // Attention as some policy might see it: shares that fall off at random.
      if (float* signal = cache.signal(layer))
        for (uint32_t s = 0; s < cache.slots(layer); s++)
          if (pos[s] != SLUICE_FREE) signal[uint64_t(h) * cache.slot_stride(layer) + s] += float(source.next(1) & 1023) / 1024;
    }
  }
};

TEST_F(Llama2Shape, StoredBytesKeepToTheFormulas) {
  auto group = [](int bits, int g, int residual, const char* window) {
    return std::map<std::string, sluice_value>{{"bits", integer(bits == 2 ? 0 : 2)}, {"group", integer(g)}, {"residual", integer(residual)},
                                               {"value_window", integer(std::string(window) == "sliding")}};
  };
  auto gear = [](int bits, double outliers) {
    return std::map<std::string, sluice_value>{{"bits", integer(bits == 2 ? 0 : 2)}, {"outliers", real(outliers)}};
  };
  const std::vector<ShapeRow> rows = {
      {"fp16", "", "", {}, kTokens, 0},
      {"uniform 8 bit, per tensor", "uniform", "", {{"bits", integer(3)}, {"axis", integer(2)}}, kTokens, 0, 8, 32.0 / (64 * 128)},
      {"uniform 4 bit, per tensor", "uniform", "", {{"bits", integer(2)}, {"axis", integer(2)}}, kTokens, 0, 4, 32.0 / (64 * 128)},
      {"KIVI-4 g32 R128", "group", "", group(4, 32, 128, "sliding"), kTokens, 0, 4, 1},
      {"KIVI-4 g64 R64", "group", "", group(4, 64, 64, "sliding"), kTokens, 0, 4, 0.5},
      {"KIVI-2 g32 R128", "group", "", group(2, 32, 128, "sliding"), kTokens, 0, 2, 1},
      {"KIVI-2 g64 R64", "group", "", group(2, 64, 64, "sliding"), kTokens, 0, 2, 0.5},
      {"GEAR-L 2 b, one prompt", "gear", "", gear(2, 0), kTokens, 0, 2, 0.5, 4, 2, 0},
      {"GEAR 2 b s2%, one prompt", "gear", "", gear(2, 0.02), kTokens, 0, 2, 0.5, 4, 2, 0.02},
      {"GEAR-L 2 b, 3072 + 1024", "gear", "", gear(2, 0), 3072, 0, 2, 0.5, 4, 2, 0},
      {"GEAR 2 b s2%, 3072 + 1024", "gear", "", gear(2, 0.02), 3072, 0, 2, 0.5, 4, 2, 0.02},
      {"GEAR 4 b s2%, 3072 + 1024", "gear", "", gear(4, 0.02), 3072, 0, 4, 0.5, 4, 2, 0.02},
      {"H2O C=2048", "", "h2o", {}, kTokens, 2048, 16, 0, 0, 0, 0, 0.125},
      {"SIEVE C=2048", "", "sieve", {}, kTokens, 2048, 16, 0, 0, 0, 0, 2.0 / 256},
      {"H2O C=819", "", "h2o", {}, kTokens, 819, 16, 0, 0, 0, 0, 0.125},
      {"SIEVE C=819", "", "sieve", {}, kTokens, 819, 16, 0, 0, 0, 0, 2.0 / 256},
      {"GEAR4 + H2O C=2048", "gear", "h2o", gear(4, 0.02), kTokens, 2048, 4, 0.5, 4, 2, 0.02, 0.125},
      {"GEAR4 + SIEVE C=2048", "gear", "sieve", gear(4, 0.02), kTokens, 2048, 4, 0.5, 4, 2, 0.02, 2.0 / 256},
      {"GEAR2 + H2O C=2048", "gear", "h2o", gear(2, 0.02), kTokens, 2048, 2, 0.5, 4, 2, 0.02, 0.125},
      {"GEAR2 + SIEVE C=2048", "gear", "sieve", gear(2, 0.02), kTokens, 2048, 2, 0.5, 4, 2, 0.02, 2.0 / 256},
      {"GEAR4 + H2O C=819", "gear", "h2o", gear(4, 0.02), kTokens, 819, 4, 0.5, 4, 2, 0.02, 0.125},
      {"GEAR2 + H2O C=819", "gear", "h2o", gear(2, 0.02), kTokens, 819, 2, 0.5, 4, 2, 0.02, 0.125},
      {"GEAR2 + SIEVE C=819", "gear", "sieve", gear(2, 0.02), kTokens, 819, 2, 0.5, 4, 2, 0.02, 2.0 / 256},
  };
  fmt::print("{:28} {:>12} {:>12} {:>7} {:>12} {:>9}\n", "", "formula", "named kinds", "ratio", "all kinds", "of F16");
  for (const ShapeRow& row : rows) {
    testing::PolicyOptions o;
    o.layers = kLayers, o.heads = o.kv_heads = kHeads, o.head_dim = kHeadDim, o.max_context = kTokens;
    o.key_codec = o.value_codec = row.codec, o.evictor = row.evictor, o.codec_params = row.codec_params, o.interval = 1;
    const auto policy = make_policy(registry, o);
    Arena arena(backend, uint64_t(8) << 30);
    ArenaOwner owner;
    Piece identity = arena.allocate(kTokens * 4, owner);
    for (uint32_t i = 0; i < kTokens; i++) reinterpret_cast<uint32_t*>(identity.data)[i] = i;
    uint64_t stored = 0, total = 0, tail_rows = 0;
    {
      SequenceCache cache(*policy, arena, reinterpret_cast<uint32_t*>(identity.data), row.budget, kTokens);
      // Layers do not meet in here, so each is filled by a thread of the pool.
      cache.begin(row.prompt);
      pool.each(kLayers, [&](uint32_t l) {
        RowSource source{88172645463325252ull + l};
        std::vector<sluice_store> places(uint64_t(row.prompt) * kHeads);
        cache.open_prompt(l);
        cache.place(l, places.data());
        fill(cache, l, row.prompt, 0, places, source);
        cache.end_prompt_layer(l);
      });
      cache.end();
      for (uint32_t t = row.prompt; t < kTokens; t++) {
        cache.begin(1);
        pool.each(kLayers, [&](uint32_t l) {
          RowSource source{(uint64_t(t) << 20) + l + 1};
          std::vector<sluice_store> places(kHeads);
          cache.place(l, places.data());
          fill(cache, l, 1, t, places, source);
          cache.end_layer(l);
        });
        cache.end();
      }
      const Ledger ledger = cache.ledger();
      ASSERT_EQ(ledger.total() - policy->plugin_bytes(), cache.owner().live) << row.name;
      total = ledger.total();
      const bool evicts = row.budget > 0;
      for (Kind kind : {Kind::kCodes, Kind::kScales, Kind::kLowRank, Kind::kOutlierValues, Kind::kOutlierIndices, Kind::kRowPointers, Kind::kTail, Kind::kSideList})
        stored += ledger[kind];
      if (evicts) stored += ledger[Kind::kPositions] + ledger[Kind::kEvictorState];
      tail_rows = ledger[Kind::kTail] / (kHeadDim * 2);
    }
    arena.release(identity, owner);

    // The formula, over K and V rows of all lanes.
    const double lanes = double(kLayers) * kHeads, kept = row.budget ? row.budget : kTokens;
    const double rows_all = 2 * lanes * kept, dense = double(tail_rows), coded = rows_all - dense;
    double formula = dense * kHeadDim * 16;
    if (!row.codec.empty()) {
      const double decoded = row.evictor.empty() ? 2 * lanes * (kTokens - row.prompt) : 0, from_prompt = coded - decoded;
      const double prompt_rows = from_prompt / (2 * lanes);
      formula += coded * kHeadDim * (row.bits + row.scale_bits);
      formula += from_prompt * 16 * row.rank_prompt + 2 * lanes * 16 * row.rank_prompt * kHeadDim;          // A, then B per block
      formula += decoded * 16 * row.rank_decode + decoded / 64 * 16 * row.rank_decode * kHeadDim;
      if (row.outliers > 0) {
        auto twice = [&](double length) { return 2 * std::floor(length * row.outliers / 2 + 0.5); };
        const double per_value_row = twice(kHeadDim);                                    // V: per token
        const double prompt_k = twice(prompt_rows) * kHeadDim, decode_k = twice(64) * kHeadDim;  // K: per channel and block
        const double count = (from_prompt + decoded) / 2 * per_value_row + lanes * prompt_k + decoded / 2 / 64 * decode_k;
        formula += count * (16 + 8) + coded * 16;
      }
    }
    if (row.budget) formula += lanes * kept * (32 + row.score_bits * 2 * kHeadDim);
    const double formula_bytes = formula / 8, f16 = 2.0 * lanes * kTokens * kHeadDim * 2;
    fmt::print("{:28} {:>8.1f} MiB {:>8.1f} MiB {:>7.3f} {:>8.1f} MiB {:>7.1f} %\n", row.name, formula_bytes / 1048576, stored / 1048576.0,
               stored / formula_bytes, total / 1048576.0, 100 * total / f16);
    EXPECT_LE(stored, formula_bytes * 1.03) << row.name;
  }
}

}  // namespace
}  // namespace sluice
