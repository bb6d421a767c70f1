// See statistics.h: sums in a fixed order, so that the same text gives the same bits on any number of threads.
#include "core/report/statistics.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace sluice {
namespace {

// Two doubles in a register of any machine we build for. A vocabulary is 50 to 250 thousand logits and a comparison
// walks it for every position and policy, so these loops are written for vectors instead of hoping for them; the
// order of additions does not depend on the machine.
using Pair = double __attribute__((vector_size(16)));
using PairBits = int64_t __attribute__((vector_size(16)));
constexpr size_t kPairs = 4;  // independent sums, that latencies overlap
constexpr size_t kLanes = 2 * kPairs;

inline Pair both(double x) { return Pair{x, x}; }
inline Pair load(const float* x) { return Pair{double(x[0]), double(x[1])}; }
inline Pair load(const double* x) { return Pair{x[0], x[1]}; }

// exp(x) for x <= 0, to an ulp or two. Below -708 the result is 0; NaN stays NaN.
inline Pair exp_negative(Pair x) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  constexpr double kLog2e = 0x1.71547652b82fep0, kLn2High = 0x1.62e42fefa38p-1, kLn2Low = 0x1.ef35793c7673p-45;
  const Pair shifted = x * kLog2e + kRound;
  const Pair n = shifted - kRound;
  const Pair r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2)/2: the series is exact enough with 13 terms
  Pair p = r * (1.0 / 6227020800) + 1.0 / 479001600;
  for (const double factor : {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                              1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0, 1.0})
    p = p * r + factor;
  const Pair power = Pair(((PairBits)shifted << 52) + 0x3FF0000000000000);
  return x < -708.0 ? both(0) : p * power;
}
inline double exp_negative(double x) { return exp_negative(both(x))[0]; }

// The sum of f over all elements below n. f takes an index and gives the terms of elements i and i + 1; `last` gives
// one term, for the end that fills no pair.
template <class F, class G>
double sum_over(size_t n, F f, G last) {
  Pair sums[kPairs] = {};
  const size_t whole = n / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t j = 0; j < kPairs; ++j) sums[j] += f(i + 2 * j);
  const Pair pair = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  double sum = pair[0] + pair[1];
  for (size_t i = whole; i < n; ++i) sum += last(i);
  return sum;
}

double sum_of_exp(std::span<const float> logits, double peak) {
  const float* x = logits.data();
  return sum_over(
      logits.size(), [=](size_t i) { return exp_negative(load(x + i) - peak); },
      [=](size_t i) { return exp_negative(double(x[i]) - peak); });
}

float largest(std::span<const float> values) {
  float lane[kLanes];
  std::fill_n(lane, kLanes, -INFINITY);
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t j = 0; j < kLanes; ++j) lane[j] = values[i + j] > lane[j] ? values[i + j] : lane[j];
  float result = *std::max_element(lane, lane + kLanes);
  for (size_t i = whole; i < values.size(); ++i) result = values[i] > result ? values[i] : result;
  return result;
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const double peak = largest(logits);
  return peak + std::log(sum_of_exp(logits, peak));
}

uint32_t argmax(std::span<const float> values) {
  const auto found = std::find(values.begin(), values.end(), largest(values));
  return found == values.end() ? 0 : uint32_t(found - values.begin());
}

double negative_log_likelihood(std::span<const float> logits, uint32_t token) {
  return log_sum_exp(logits) - logits[token];
}

void LogProbs::set(std::span<const float> logits) {
  logits_.assign(logits.begin(), logits.end());
  probabilities_.resize(logits.size());
  log_sum_ = log_sum_exp(logits);
  top_ = argmax(logits);
  size_t i = 0;
  for (; i + 2 <= logits.size(); i += 2) {
    const Pair p = exp_negative(load(&logits[i]) - log_sum_);
    probabilities_[i] = p[0], probabilities_[i + 1] = p[1];
  }
  if (i < logits.size()) probabilities_[i] = exp_negative(double(logits[i]) - log_sum_);
}

// With b, x the logits and L their log-sums: sum p (b - L_b - x + L_x) = sum p (b - x) + (L_x - L_b).
double kl_divergence(const LogProbs& reference, std::span<const float> logits) {
  return score_position(reference, logits, 0).kld;
}

PositionScore score_position(const LogProbs& reference, std::span<const float> logits, uint32_t target) {
  const size_t vocab = logits.size();
  const float* base = reference.logits().data();
  const double* p = reference.probabilities().data();
  assert(reference.logits().size() == vocab && target < vocab);
  const float peak_logit = largest(logits);
  const double peak = peak_logit;
  const float* x = logits.data();
  const double dot = sum_over(
      vocab,
      [=](size_t i) {  // a token that the reference rules out adds nothing, whatever the policy says
        const Pair weight = load(p + i);
        return weight > 0.0 ? weight * (load(base + i) - load(x + i)) : both(0);
      },
      [=](size_t i) { return p[i] > 0 ? p[i] * (double(base[i]) - double(x[i])) : 0.0; });
  const double log_sum = peak + std::log(sum_of_exp(logits, peak));
  const double kld = dot + (log_sum - reference.log_sum());

  PositionScore score;
  score.nll = log_sum - logits[target], score.reference_nll = reference.nll(target);
  score.kld = kld < 0 ? 0 : kld;  // rounding; NaN passes
  const auto top = std::find(logits.begin(), logits.end(), peak_logit);
  score.top = top == logits.end() ? 0 : uint32_t(top - logits.begin());
  score.same_top = score.top == reference.top();
  return score;
}

double kl_divergence(std::span<const float> base_logits, std::span<const float> logits) {
  LogProbs reference;
  reference.set(base_logits);
  return kl_divergence(reference, logits);
}

void RunningMean::add(double x) {
  ++count_;
  const double delta = x - mean_;
  mean_ += delta / double(count_);
  squares_ += delta * (x - mean_);
}

double RunningMean::standard_error() const { return std::sqrt(variance() / double(count_)); }

double percentile(std::vector<double>& values, double fraction) {
  if (values.empty()) return kUnknown;
  if (!std::is_sorted(values.begin(), values.end())) std::sort(values.begin(), values.end());
  const double at = std::clamp(fraction, 0.0, 1.0) * double(values.size() - 1);
  const size_t below = size_t(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  const double part = at - double(below);
  return part == 0 ? values[below] : (1 - part) * values[below] + part * values[above];
}

std::vector<CurveBin> bin_curve(std::span<const double> per_position, size_t max_bins) {
  std::vector<CurveBin> bins;
  if (per_position.empty() || max_bins == 0) return bins;
  const size_t width = (per_position.size() + max_bins - 1) / max_bins;
  for (size_t first = 0; first < per_position.size(); first += width) {
    const size_t end = std::min(first + width, per_position.size());
    double sum = 0;
    for (size_t i = first; i < end; ++i) sum += per_position[i];
    bins.push_back({uint32_t(first), uint32_t(end - 1), sum / double(end - first)});
  }
  return bins;
}

void Fidelity::add(const PositionScore& score) {
  if (!score.same_top && !first_divergence_) first_divergence_ = nll_.count();
  nll_.add(score.nll);
  nll_difference_.add(score.nll - score.reference_nll);
  kld_mean_.add(score.kld);
  kld_.push_back(score.kld);
  same_ += score.same_top;
  const double change = std::exp(-score.nll) - std::exp(-score.reference_nll);
  change_mean_.add(change);
  changes_.push_back(change), changes_squared_ += change * change;
}

void Fidelity::add_nll(double nll) { nll_.add(nll); }

double Fidelity::ppl() const { return std::exp(nll_.mean()); }

FidelityFigures Fidelity::figures() const {
  FidelityFigures f;
  f.tokens = nll_.count();
  f.nll_mean = nll_.mean();
  f.ppl = ppl();
  f.ppl_se = f.ppl * nll_.standard_error();
  if (kld_.empty()) return f;
  f.ppl_ratio = std::exp(nll_difference_.mean());
  f.ppl_ratio_se = f.ppl_ratio * nll_difference_.standard_error();
  f.kld_mean = kld_mean_.mean();
  f.kld_se = kld_mean_.standard_error();
  f.same_top = double(same_) / double(kld_.size());
  f.dp.mean = change_mean_.mean(), f.dp.se = change_mean_.standard_error();
  f.dp.rms = std::sqrt(changes_squared_ / double(changes_.size()));
  // One NaN makes a mean NaN; percentiles of unordered values would only look sound.
  const auto comparable = [](double mean) { return !std::isnan(mean); };
  if (std::vector<double> sorted = kld_; comparable(f.kld_mean)) {
    f.kld_median = percentile(sorted, 0.5);
    f.kld_p99 = percentile(sorted, 0.99);
    f.kld_max = sorted.back();
  }
  if (std::vector<double> sorted = changes_; comparable(f.dp.mean))
    for (size_t i = 0; i < kChangePercentiles; i++) f.dp.percentiles[i] = percentile(sorted, kChangeFractions[i]);
  return f;
}

void Fidelity::fill(PolicyResult& row) const {
  static_cast<FidelityFigures&>(row) = figures();
  if (kld_.empty()) return;
  row.first_divergence = first_divergence_;
  row.kld_curve = bin_curve(kld_);
}

}  // namespace sluice
