// Whether two results differ: standard errors as the harness has them, what one run gained and lost against another on
// the same questions, and how likely that is by chance. In double, seeded, in a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

struct Interval {
  double low = 0, high = 0;
};

// The standard error of the mean: the sample's deviation (n - 1) over sqrt(n). Unknown for fewer than two.
double mean_stderr(std::span<const double> values);
// Of a mean that weighs parts by their sizes, from the parts' own: the harness's pooled_sample_stderr. Unknown where
// the parts have one document each.
double pooled_stderr(std::span<const double> stderrs, std::span<const uint64_t> sizes);
// Of the plain mean of parts.
double unweighted_stderr(std::span<const double> stderrs);
// Of a mean over all members of groups that were drawn whole, such as tokens of texts, from the groups' sums and sizes:
// the ratio estimator's error (Cochran, Sampling Techniques, 1977, chapter 6). Unknown for fewer than two groups.
double grouped_stderr(std::span<const double> sums, std::span<const uint64_t> sizes);
double weighted_mean(std::span<const double> means, std::span<const uint64_t> sizes);

// Questions on which two runs disagree.
struct Flips {
  uint64_t lost = 0;  // right in the baseline, wrong now
  uint64_t won = 0;   // the other way
};
// Scores of the same questions in the same order; a half or more is right.
Flips count_flips(std::span<const double> baseline, std::span<const double> scores);
// The chance of flips at least as uneven as these if either way were as likely: McNemar's exact test, two-sided.
double mcnemar_p(const Flips& flips);

// The middle `confidence` of the mean difference (scores - baseline), from `rounds` resamplings of questions.
Interval bootstrap_difference(std::span<const double> baseline, std::span<const double> scores, uint64_t seed,
                              size_t rounds = 10000, double confidence = 0.95);

// Wilson's interval of a share, which does not end where no question or all of them are right. 95 %.
Interval share_interval(uint64_t right, uint64_t n);
// A baseline that may be guessing: its interval holds `chance`, or all of it lies below. Such a task ranks nothing.
bool at_floor(uint64_t right, uint64_t n, double chance);

// The share of words at the end of a text that only repeat, 0 to 1: how much of it is the longest tail in which a
// phrase of up to `longest` words stands again and again (three times or more).
double repeated_tail(std::string_view text, size_t longest = 32);
// A generation that got stuck: at least half of it, and 16 words or more, repeat.
bool degenerate(std::string_view text);

}  // namespace sluice
