// An invented comparison, shaped like a real one, so that reports can be tested without a model. The figures mean
// nothing.
#pragma once

#include <cmath>
#include <numeric>
#include <random>
#include <string>

#include "core/report/result.h"

namespace sluice::testing {

struct FakeRow {
  const char *policy, *codec, *evictor;
  double ratio, kld;
};

inline PolicyResult fake_row(const FakeRow& fake, uint64_t seed, uint32_t tokens = 512) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return double(random() >> 11) * 0x1p-53; };
  PolicyResult row;
  row.policy = fake.policy;
  row.codec = fake.codec;
  row.evictor = fake.evictor;
  row.tokens = tokens;
  row.reference = fake.kld == 0;
  row.settings =
      row.codec.empty() && row.evictor.empty() ? "F16, keeps all" : row.codec + " bits=2 group=64, " + row.evictor;
  row.kv.bytes_f16 = 23592960;  // 30 layers, 3 heads, 64 channels, K and V, 1024 tokens
  const auto share = [&](double part) { return uint64_t(fake.ratio * part * double(row.kv.bytes_f16)); };
  auto& kinds = row.kv.by_kind;
  if (row.codec.empty()) {
    kinds = {{"tail", share(0.995)}, {"index", share(0.003)}};
  } else {
    kinds = {{"codes", share(row.codec == "gear" ? 0.36 : 0.66)},
             {"scales", share(0.14)},
             {"padding", share(0.004)},
             {"tail", share(0.12)},
             {"positions", share(0.02)},
             {"index", share(0.015)}};
    if (row.codec == "gear") {
      for (const auto& more :
           {std::pair{"low_rank", 0.16}, {"outlier_values", 0.1}, {"outlier_indices", 0.05}, {"row_pointers", 0.01}})
        kinds.emplace_back(more.first, share(more.second));
      row.stats = {{"explained share K", 0.17353}, {"explained share V", 0.13748}};
    }
  }
  if (!row.evictor.empty()) {
    kinds.emplace_back("evictor_state", share(0.01));
    kinds.emplace_back("side_list", share(0.02));
    row.stats.push_back({"evictions per step", 1.0 / 3});
  }
  kinds.emplace_back("slack", share(0.02));
  row.kv.bytes = std::accumulate(kinds.begin(), kinds.end(), uint64_t{0},
                                 [](uint64_t sum, const auto& kind) { return sum + kind.second; });
  row.kv.ratio = double(row.kv.bytes) / double(row.kv.bytes_f16);
  row.kv.bits_per_element = 16 * row.kv.ratio;
  row.kv.tokens_kept = row.evictor.empty() ? tokens : tokens * fake.ratio;
  row.kv.peak_bytes = row.kv.bytes + row.kv.bytes / 7;
  row.compressed_before_scoring = row.reference ? 0 : tokens - 64;

  const size_t bins = 64;
  double sum = 0;
  for (size_t b = 0; b < bins; ++b) {
    const double wave = std::exp(1.1 * (uniform() + uniform() + uniform() - 1.5)) * (0.35 + double(b) / bins);
    const double kld = b < 6 && !row.reference ? fake.kld * 0.01 * wave : fake.kld * wave;
    row.kld_curve.push_back({uint32_t(b * tokens / bins), uint32_t((b + 1) * tokens / bins - 1), kld});
    sum += kld;
  }
  row.kld_mean = row.reference ? 0 : sum / double(bins);
  row.kld_se = row.kld_mean * (0.05 + 0.1 * uniform());
  row.kld_median = row.kld_mean * 0.31;
  row.kld_p99 = row.kld_mean * 8.7;
  row.kld_max = row.kld_mean * 19.3;
  row.nll_mean = 2.62625452 + row.kld_mean * 0.9;
  row.ppl = std::exp(row.nll_mean);
  row.ppl_se = row.ppl * 0.043;
  row.same_top = row.reference ? 1 : std::exp(-0.42 * std::sqrt(row.kld_mean));
  row.tok_s = 38.0 + 14 * uniform();
  if (!row.reference) row.first_divergence = 3 + uint64_t(40 * uniform());
  return row;
}

inline Comparison fake_comparison() {
  constexpr FakeRow kRows[] = {{"full", "", "", 1.003, 0},
                               {"uniform8", "uniform", "", .53, .0004},
                               {"uniform4", "uniform", "", .285, .027},
                               {"group4", "group", "", .287, .0061},
                               {"group2", "group", "", .163, .398},
                               {"gear4", "gear", "", .41, .0031},
                               {"gear2", "gear", "", .283, .119},
                               {"recent20", "", "recent", .205, .725},
                               {"random20", "", "random", .206, 1.31},
                               {"h2o50", "", "h2o", .508, .062},
                               {"h2o20", "", "h2o", .208, .431},
                               {"sieve50", "", "sieve", .504, .071},
                               {"sieve20", "", "sieve", .202, .455},
                               {"gear4_h2o50", "gear", "h2o", .214, .068},
                               {"gear2_h2o20", "gear", "h2o", .084, .81},
                               {"gear2_sieve20", "gear", "sieve", .083, .84}};
  Comparison c;
  c.version = "0.1.0";
  c.date = "2000-01-01 00:00";
  c.model = "Invented 135M";
  c.weight_type = "Q4_1";
  c.parameters = 134515008;
  c.weight_bytes = 98400000;
  c.text = "invented.txt";
  c.tokens = 512;
  c.budget = "20% = 102 tokens, 50% = 256 tokens";
  c.machine = "no machine";
  c.backend = "cpu";
  c.kernel = "avx2";
  c.threads = 8;
  c.precision = "exact";
  c.byte_pairs = {{"gear", "group"}};
  c.memory = {98400000, 3145728, 1048576, 201326592};
  uint64_t seed = 1;
  for (const FakeRow& row : kRows) c.policies.push_back(fake_row(row, seed++));
  return c;
}

// Names and texts that want to be markup, queries, formulas or nothing at all.
inline Comparison hostile_comparison() {
  Comparison c = fake_comparison();
  c.policies.resize(7);
  c.model = "</script><script>alert(1)</script>";
  c.text = "<img src=x onerror=alert(1)>\".txt";
  c.machine = "a & b <b>";
  c.note = "note with \"quotes\", 'quotes' & <tags>";
  c.policies[1].policy = "</script><!-- \" onmouseover=\"x";
  c.policies[2].policy = "a,\"b\"\r\nc|d\\e";
  c.policies[3].policy = "Robert'); DROP TABLE comparison;--";
  c.policies[4].policy = "größe 漢字 \xFF\xFE broken";
  c.policies[5].policy = std::string(90, 'w');
  c.policies[5].stats = {{"<i>rate\" x=\"", 0.25}};
  c.policies[6].kv.stored = false;  // claims only
  c.policies[6].settings = "]]> </style> ${1} {} %s";
  return c;
}

}  // namespace sluice::testing
