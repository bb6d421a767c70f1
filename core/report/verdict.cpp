// See verdict.h. Only rows with stored bytes and a divergence compete.
#include "core/report/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/report/format.h"

namespace sluice {

bool never_acted(const PolicyResult& row) {
  return !row.reference && row.tokens > 0 && row.compressed_before_scoring == 0 &&
         !(row.codec.empty() && row.evictor.empty());
}

bool is_ranked(const PolicyResult& row) {
  return row.kv.stored && std::isfinite(row.kv.ratio) && std::isfinite(row.kld_mean) && !never_acted(row);
}

std::vector<size_t> pareto_front(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  std::vector<size_t> front;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!is_ranked(rows[i])) continue;
    const double bytes = double(rows[i].kv.bytes), kld = rows[i].kld_mean;
    const bool beaten = std::any_of(rows.begin(), rows.end(), [&](const PolicyResult& other) {
      if (!is_ranked(other)) return false;
      const double its_bytes = double(other.kv.bytes);
      return (other.kld_mean < kld && its_bytes <= 1.01 * bytes) || (other.kld_mean == kld && its_bytes < bytes);
    });
    if (!beaten) front.push_back(i);
  }
  std::stable_sort(front.begin(), front.end(), [&](size_t a, size_t b) { return rows[a].kv.bytes > rows[b].kv.bytes; });
  return front;
}

std::optional<size_t> nearest_in_bytes(const Comparison& comparison, size_t row) {
  const auto& rows = comparison.policies;
  const auto pair = std::find_if(comparison.byte_pairs.begin(), comparison.byte_pairs.end(),
                                 [&](const BytePair& p) { return p.codec == rows[row].codec; });
  if (pair == comparison.byte_pairs.end() || !rows[row].kv.stored) return std::nullopt;
  const auto distance = [&](size_t i) {
    const auto [low, high] = std::minmax(rows[i].kv.bytes, rows[row].kv.bytes);
    return high - low;
  };
  std::optional<size_t> best;
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i].codec == pair->beside && rows[i].kv.stored && (!best || distance(i) < distance(*best))) best = i;
  return best;
}

std::vector<BudgetWinner> winners_by_budget(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  std::vector<BudgetWinner> winners;
  for (const double share : {1.0 / 2, 1.0 / 4, 1.0 / 8, 1.0 / 16}) {
    std::optional<size_t> best;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!is_ranked(rows[i]) || rows[i].reference || rows[i].kv.ratio > share) continue;
      if (!best ||
          std::pair(rows[i].kld_mean, rows[i].kv.bytes) < std::pair(rows[*best].kld_mean, rows[*best].kv.bytes))
        best = i;
    }
    winners.push_back({share, best});
  }
  return winners;
}

namespace {

std::string never_acted_text(const Comparison& comparison) {
  std::string names;
  for (const PolicyResult& row : comparison.policies)
    if (never_acted(row)) names += (names.empty() ? "" : ", ") + row.policy;
  return names.empty() ? "" : names + " never acted on a scored token: use more tokens.";
}

}  // namespace

std::string front_text(const Comparison& comparison) {
  const std::string idle = never_acted_text(comparison);
  const size_t front = pareto_front(comparison).size();
  const auto ranked = std::count_if(comparison.policies.begin(), comparison.policies.end(), is_ranked);
  // One row, the reference, beside those that never acted: there is nothing it could beat.
  if (ranked <= 1 && !idle.empty()) return idle;
  if (comparison.policies.size() == 1) return "";  // nothing to rank it with
  if (ranked == 0) return "Nothing to rank: no row has both stored bytes and a divergence from a reference.";
  return fmt::format("{} of {} rows {} worth {} bytes: nothing else stays as close to the reference in as few.{}{}",
                     front, ranked, front == 1 ? "is" : "are", front == 1 ? "its" : "their", idle.empty() ? "" : " ",
                     idle);
}

std::string verdict_text(const Comparison& comparison) {
  constexpr std::string_view kNames[] = {"half", "a quarter", "an eighth", "a sixteenth"};
  const auto winners = winners_by_budget(comparison);
  std::string budgets;
  for (size_t i = 0; i < winners.size(); ++i) {
    if (!winners[i].row) continue;
    const PolicyResult& row = comparison.policies[*winners[i].row];
    budgets += fmt::format("{} {} of F16's bytes {} (KLD {}{})", budgets.empty() ? " Closest within" : "; within",
                           kNames[i], row.policy, divergence_text(row.kld_mean),
                           std::isfinite(row.same_top) ? ", same top token " + percent_text(row.same_top) : "");
  }
  return front_text(comparison) + (budgets.empty() ? "" : budgets + ".");
}

}  // namespace sluice
