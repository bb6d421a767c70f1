// The figures of a fidelity run: log-softmax, KL divergence and negative log-likelihood of a position's logits, and
// means, standard errors and percentiles over positions. All in double; knows no cache and no model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/report/result.h"

namespace sluice {

// log(sum(exp(x))) without overflow. Not finite if any logit is NaN or +inf.
double log_sum_exp(std::span<const float> logits);
// The index of the largest value, the first one among equals.
uint32_t argmax(std::span<const float> values);
// -log softmax(logits)[token].
double negative_log_likelihood(std::span<const float> logits, uint32_t token);

// A position's distribution under the reference, computed once and compared with many.
class LogProbs {
 public:
  void set(std::span<const float> logits);  // copies; storage is reused from position to position

  uint32_t top() const { return top_; }
  double nll(uint32_t token) const { return log_sum_ - logits_[token]; }
  std::span<const float> logits() const { return logits_; }
  std::span<const double> probabilities() const { return probabilities_; }
  double log_sum() const { return log_sum_; }

 private:
  std::vector<float> logits_;          // [vocab]
  std::vector<double> probabilities_;  // [vocab]
  double log_sum_ = 0;
  uint32_t top_ = 0;
};

// What one position says about a policy.
struct PositionScore {
  double nll = 0;                   // of `target` under the policy
  double kld = 0;                   // KL(reference || policy) >= 0, exactly 0 for equal logits; NaN for NaN logits
  uint32_t top = 0;                 // the policy's most likely token
  bool same_top = true;             // as the reference
  double reference_nll = kUnknown;  // of `target` under the reference
};
PositionScore score_position(const LogProbs& reference, std::span<const float> logits, uint32_t target);
double kl_divergence(const LogProbs& reference, std::span<const float> logits);
double kl_divergence(std::span<const float> base_logits, std::span<const float> logits);

// Mean and variance of a stream, by Welford's recurrence.
class RunningMean {
 public:
  void add(double x);
  uint64_t count() const { return count_; }
  double mean() const { return count_ > 0 ? mean_ : kUnknown; }
  double variance() const { return count_ > 1 ? squares_ / double(count_ - 1) : kUnknown; }  // n - 1
  double standard_error() const;

 private:
  uint64_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

// The value below which `fraction` (0..1) of the values lie, interpolated between neighbours. `values` is reordered
// only if it is not sorted yet. Unknown for none.
double percentile(std::vector<double>& values, double fraction);

// Averages neighbouring positions into at most `max_bins` bins of equal width (the last may be narrower).
std::vector<CurveBin> bin_curve(std::span<const double> per_position, size_t max_bins = 64);

// Gathers the positions of one policy and fills the figures of its row.
class Fidelity {
 public:
  void add(const PositionScore& score);  // a reference to compare with was there
  void add_nll(double nll);              // there was none: perplexity only
  double ppl() const;                    // so far, for a progress line
  double kld_mean() const { return kld_mean_.mean(); }
  std::span<const double> kld() const { return kld_; }
  // ppl_se is ppl times the standard error of the mean NLL, that of the ratio likewise of the mean difference (the
  // delta method).
  FidelityFigures figures() const;
  void fill(PolicyResult& row) const;  // the figures, first_divergence and kld_curve

 private:
  RunningMean nll_, nll_difference_, kld_mean_, change_mean_;
  std::vector<double> kld_, changes_;  // [positions]
  double changes_squared_ = 0;
  uint64_t same_ = 0;
  std::optional<uint64_t> first_divergence_;
};

}  // namespace sluice
