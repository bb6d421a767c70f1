// What a comparison says in plain words: which policies are worth their bytes, and what stands beside what.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/report/result.h"

namespace sluice {

// The policy compresses or evicts, but had not done so when the last token was scored: its figures are the reference's.
bool never_acted(const PolicyResult& row);

// Stored bytes and a KLD are known and its own, so that the policy can be ranked.
bool is_ranked(const PolicyResult& row);

// Rows no other ranked row beats, from most bytes to fewest: none is closer in as few bytes, nor as close in fewer. Up
// to 1 % more bytes counts as "as few", or a row would earn its place by a few bytes. Indices into policies.
std::vector<size_t> pareto_front(const Comparison& comparison);

// The row to name beside `row` (see BytePair), if there is one.
std::optional<size_t> nearest_in_bytes(const Comparison& comparison, size_t row);

// The row with the lowest KLD (the smaller one among equals) of those that store at most `share` of F16's bytes, for
// a half, a quarter, an eighth and a sixteenth; none where no row fits. The reference itself does not compete.
struct BudgetWinner {
  double share = 0;
  std::optional<size_t> row;
};
std::vector<BudgetWinner> winners_by_budget(const Comparison& comparison);

// How many rows are worth their bytes, as a sentence; and which never acted.
std::string front_text(const Comparison& comparison);
// The same and who is closest to the reference within which share of the bytes.
std::string verdict_text(const Comparison& comparison);

}  // namespace sluice
