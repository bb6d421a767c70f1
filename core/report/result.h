// What a comparison or a perplexity run found, as plain values: filled by core/run, written by table.h, json.h and
// html.h. Names of members are the names in JSON (docs/output.md), units are nats, fractions, bytes and tokens.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/byte_kinds.h"

namespace sluice {

// A figure that was not measured: null in JSON, "-" in tables.
inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// What one kv head of one layer holds.
struct LaneUse {
  uint32_t rows = 0;   // of K, and as many of V
  uint64_t bytes = 0;  // of both, dense and coded
};

// One policy's cache at the end of the run, as the ledger counts it.
struct KvBytes {
  // false: the codec only pretends to compress. Writers then show neither bytes nor speed, whatever stands below.
  bool stored = true;
  uint64_t bytes = 0;
  uint64_t bytes_f16 = 0;              // the same tokens, all kept, in F16
  double ratio = kUnknown;             // bytes / bytes_f16
  double bits_per_element = kUnknown;  // stored bits over the elements of all tokens, kept or not: 16 ratio
  double tokens_kept = kUnknown;       // mean rows per lane
  uint64_t peak_bytes = 0;
  std::vector<std::pair<std::string, uint64_t>> by_kind;  // any subset of kKindNames; their sum is `bytes`
  std::vector<std::vector<LaneUse>> lanes;                // [layers][kv_heads]
};

// A plugin's own counter: SIEVE's hit rate, GEAR's explained share.
struct Stat {
  std::string name;
  double value = 0;
};

// Mean KLD of the positions first..last (inclusive), counted from the first scored token.
struct CurveBin {
  uint32_t first = 0, last = 0;
  double kld = 0;
};

// The percentiles of a change of probability, those that llama.cpp's --kl-divergence prints, and their names in JSON.
inline constexpr size_t kChangePercentiles = 13;
inline constexpr double kChangeFractions[kChangePercentiles] = {0,    0.001, 0.01, 0.05, 0.1,   0.25, 0.5,
                                                                0.75, 0.9,   0.95, 0.99, 0.999, 1};
inline constexpr std::string_view kChangeNames[kChangePercentiles] = {
    "min", "p0_1", "p1", "p5", "p10", "p25", "median", "p75", "p90", "p95", "p99", "p99_9", "max"};

// How the probability of the token that comes next has changed: the policy's minus the reference's, -1..1.
struct ProbabilityChange {
  double mean = kUnknown, se = kUnknown, rms = kUnknown;
  std::array<double, kChangePercentiles> percentiles;  // by kChangeFractions
  ProbabilityChange() { percentiles.fill(kUnknown); }
};

// What the scored tokens say of a policy. All but nll_mean, ppl and ppl_se is against a reference, and unknown without.
struct FidelityFigures {
  uint64_t tokens = 0;  // scored
  double nll_mean = kUnknown, ppl = kUnknown, ppl_se = kUnknown;
  double ppl_ratio = kUnknown, ppl_ratio_se = kUnknown;  // to the reference's ppl; the error is that of pairs
  double kld_mean = kUnknown, kld_se = kUnknown, kld_median = kUnknown, kld_p99 = kUnknown, kld_max = kUnknown;
  double same_top = kUnknown;  // 0..1
  ProbabilityChange dp;
};

// What attention itself loses, seen at some of the positions: [layers], and of the lanes [layers][kv_heads].
struct AttentionFigures {
  uint64_t positions = 0;            // looked at
  std::vector<double> output_error;  // norm of the outputs' difference over that of the reference's outputs
  // The reference's attention to the tokens that the policy still holds: 0..1. Empty where nothing is evicted.
  std::vector<std::vector<double>> mass_kept;
};

struct PolicyResult : FidelityFigures {
  std::string policy;                      // the name in tables
  std::string mode = "decode";             // "decode" or "chunked"
  uint64_t compressed_before_scoring = 0;  // rows coded or evicted when the last token was scored
  std::optional<double> tok_s;
  KvBytes kv;
  std::vector<Stat> stats;

  std::string codec, evictor;          // module names ("gear", "h2o"); empty: F16, keep all
  std::string positions = "absolute";  // or "rolling"
  std::string settings;                // for people: "gear bits=2 rank=4 ..., h2o recent=50%, budget 20% = 204 tokens"
  bool reference = false;              // the row the others are measured against
  std::optional<uint64_t> first_divergence;   // the first position whose top token differs from the reference's
  std::vector<CurveBin> kld_curve;            // see bin_curve()
  std::optional<AttentionFigures> attention;  // where it was asked for
};

struct MemoryUse {
  uint64_t weights = 0, activations = 0, workspace = 0, rss_peak = 0;
};

// A codec whose rows are only fairly judged beside another codec's row of like size: for every row of `codec`, the
// tables name the row of `beside` that is nearest in bytes.
struct BytePair {
  std::string codec, beside;
};

struct Comparison {
  std::string version;             // of Sluice
  std::string date;                // as the caller wants it printed, "2025-11-23 14:05"
  std::string model, weight_type;  // "SmolLM2 135M Instruct", "Q4_1"
  uint64_t parameters = 0, weight_bytes = 0;
  std::string text;             // the file's name, or what the text was
  uint64_t tokens = 0;          // input tokens used
  std::string budget;           // for people, when all evictors share one: "20% = 204 tokens"; may be empty
  std::string machine;          // for people: CPU name, cores
  std::string backend, kernel;  // "cpu", "avx2"
  uint32_t threads = 0;
  std::string precision;  // "exact" or "fast"
  std::string note;       // what the reader must know: the noise floor of `fast`, chunked prefill; may be empty
  MemoryUse memory;
  std::vector<PolicyResult> policies;
  std::vector<BytePair> byte_pairs;
};

}  // namespace sluice
