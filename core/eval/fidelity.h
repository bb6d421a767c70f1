// The baseline's answers, teacher-forced through the caches of all policies in lockstep: how far the distributions
// behind an answer move, where its score is too coarse to show it. Prompts go in as an evaluation's do.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/eval/run.h"
#include "core/report/statistics.h"

namespace sluice {

// What follows a request's prompt: the tokens that the baseline generated, or the continuation that it found most
// likely. Nothing follows a text that is measured as it is (Rolling). The tokens are scored; of a Rolling text those
// that are not given.
struct ForcedAnswer {
  uint32_t request = 0;
  std::vector<int32_t> tokens;
  std::vector<uint32_t> policies;  // those it goes through, the baseline not among them
};

// Gets a policy's scores of an answer, a token each, when the answer is through.
using ForcedSink = std::function<void(uint32_t policy, const ForcedAnswer& answer, std::span<const PositionScore>)>;

// The same work as jobs of an evaluation, for plan_evaluation() with a row for each policy.
std::vector<EvalJob> forced_jobs(std::span<const ForcedAnswer> answers, uint32_t baseline);

// An answer after the other; all caches of an answer live at once. Of `options`: exact, score_window and share_prefix,
// as of the plan, and stop. What the sink throws ends it. An answer without tokens gives no scores. False if it was
// stopped.
bool force_answers(Engine& engine, std::span<const EvalPolicy> policies, uint32_t baseline,
                   std::span<const EvalRequest> requests, std::span<const ForcedAnswer> answers,
                   const EvalOptions& options, const ForcedSink& sink);

}  // namespace sluice
