// See row.h.
#include "core/eval/row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/eval/sample_bytes.h"
#include "core/eval/snapshots.h"
#include "core/report/statistics.h"
#include "core/run/lockstep.h"

namespace sluice {
namespace {

constexpr uint32_t kObserveSteps = 16;  // between two looks at a sample's bytes

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A generator of its own, whatever else is in the batch.
SamplerConfig own_sampler(SamplerConfig config, uint64_t id) {
  config.seed = (config.seed + 0x9E3779B97F4A7C15ull) ^ (id * 0xBF58476D1CE4E5B9ull);
  return config;
}

}  // namespace

// The last token of a continuation is not fed, nor is the last of a generation; one more is room for prompts that
// generate nothing. Of a text to be measured the last is only scored, so that a window may fill the context.
uint64_t most_tokens(const EvalRequest& request) {
  uint64_t n = request.prompt.size();
  if (std::holds_alternative<Rolling>(request.want)) return n - 1;
  if (const auto* generate = std::get_if<Generate>(&request.want)) n += generate->max_tokens;
  if (const auto* score = std::get_if<Score>(&request.want)) {
    size_t longest = 0;
    for (const auto& continuation : score->continuations) longest = std::max(longest, continuation.size());
    n += longest;
  }
  return n;
}

Row::Row(Engine& engine, const EvalPolicy& policy, const EvalJob& job, const EvalRequest& request,
         const EvalOptions& options)
    : engine_(engine),
      request_(request),
      options_(options),
      job_(job),
      sampler_(own_sampler(options.sampler, request.id)) {
  const auto most = uint32_t(most_tokens(request));
  cache_ = engine.create_cache(*policy.policy, budget_tokens(*policy.config, *policy.policy, most), most);
  answer_.policy = job.policy, answer_.request = job.request, answer_.id = request.id;
  answer_.prompt_tokens = uint32_t(request.prompt.size());
}

void Row::prompt(const SequenceCache* prefix) {
  const bool generates = std::holds_alternative<Generate>(request_.want);
  std::vector<float> logits;
  answer_.prefix_tokens = feed_prompt_part(
      engine_, *cache_, request_, prefix, generates ? Want::kLast : Want::kNothing, options_,
      [&](std::span<const LogitRow> rows) { logits.assign(rows.back().logits.begin(), rows.back().logits.end()); });
  observe_bytes(*cache_, answer_.bytes);
  if (generates) answer_.bytes.kept_after_prompt = answer_.bytes.kept;
  answer_.prompt_seconds = seconds_since(began_);
  at_ = prompt_part(request_, options_.score_window);
  if (generates)
    generated_token(logits);
  else
    next_ = request_.prompt[at_];
}

Feed Row::feed() {
  assert(!ended_);
  Want want = Want::kLast;
  if (!continuing_ && std::holds_alternative<Score>(request_.want)) {
    const bool last = at_ + 1 == request_.prompt.size();
    if (last) mark_compressed();
    want = last ? Want::kLast : Want::kNothing;
  }
  if (const auto* rolling = std::get_if<Rolling>(&request_.want)) {
    if (at_ + 2 == request_.prompt.size()) mark_compressed();
    want = at_ + 1 >= rolling->given ? Want::kLast : Want::kNothing;
  }
  return {cache_.get(), {&next_, 1}, want};
}

void Row::take(std::span<const float> logits) {
  if (++steps_ % kObserveSteps == 0 && !continuing_) observe_bytes(*cache_, answer_.bytes);
  if (std::holds_alternative<Generate>(request_.want)) return generated_token(logits);
  if (continuing_) return scored_continuation(logits);
  const std::vector<int32_t>& prompt = request_.prompt;
  if (std::holds_alternative<Score>(request_.want)) {
    if (at_ + 1 == prompt.size()) return scored_context(logits);
  } else {
    if (!logits.empty())
      answer_.log_prob -= negative_log_likelihood(logits, uint32_t(prompt[at_ + 1])), answer_.scored++;
    if (at_ + 2 == prompt.size()) {
      ended_ = true;
      return;
    }
  }
  next_ = prompt[++at_];
}

// The text is decoded anew: what the first token's space is worth depends on what it is.
void Row::generated_token(std::span<const float> logits) {
  const Generate& want = std::get<Generate>(request_.want);
  const int32_t token = sampler_.pick(logits);
  const auto end = [&](const char* why) { answer_.ended_by = why, ended_ = true; };
  if (engine_.tokenizer().ends_generation(token)) return end("end token");
  answer_.tokens.push_back(token);
  answer_.text = engine_.tokenizer().decode(answer_.tokens);
  if (cut_at_stops(answer_.text, want.stops)) return end("stop string");
  if (want.ends && want.ends(answer_.text)) return end("settled");
  if (answer_.tokens.size() == want.max_tokens) return end("limit");
  next_ = token;
}

void Row::score(Likelihood& likelihood, std::span<const float> logits, int32_t token) const {
  likelihood.log_prob -= negative_log_likelihood(logits, uint32_t(token));
  likelihood.greedy &= argmax(logits) == uint32_t(token);
}

// The context is in: its last logits are those of every continuation's first token.
void Row::scored_context(std::span<const float> logits) {
  const auto& continuations = std::get<Score>(request_.want).continuations;
  answer_.likelihoods.resize(continuations.size());
  for (size_t i = 0; i < continuations.size(); i++) score(answer_.likelihoods[i], logits, continuations[i][0]);
  observe_bytes(*cache_, answer_.bytes);
  answer_.bytes.kept_after_prompt = answer_.bytes.kept;
  if (!options_.allow_uncompressed) check_saved(*cache_, answer_.bytes);
  context_ = std::move(cache_), continuing_ = true, choice_ = 0;
  next_continuation();
}

// Each goes on from a fork of the context.
void Row::next_continuation() {
  const auto& continuations = std::get<Score>(request_.want).continuations;
  while (choice_ < continuations.size() && continuations[choice_].size() == 1) choice_++;
  if (choice_ == continuations.size()) {
    ended_ = true;
    return;
  }
  cache_ = std::make_unique<SequenceCache>(*context_);
  at_ = 0, next_ = continuations[choice_][0];
}

void Row::scored_continuation(std::span<const float> logits) {
  const std::vector<int32_t>& continuation = std::get<Score>(request_.want).continuations[choice_];
  score(answer_.likelihoods[choice_], logits, continuation[++at_]);
  next_ = continuation[at_];
  if (at_ + 1 < continuation.size()) return;
  if (!cache_->policy().simulated())
    answer_.bytes.peak =
        std::max(answer_.bytes.peak, context_->owner().live + cache_->owner().peak + context_->shared_bytes());
  cache_.reset();
  choice_++;
  next_continuation();
}

// What the cache has made of its tokens by now.
void Row::mark_compressed() {
  const Policy& policy = cache_->policy();
  const double rows = cache_->seen() ? cache_->rows_not_dense() : 0;
  const bool must = must_compress(policy, cache_->budget(), cache_->seen());
  answer_.compressed_before_scoring = uint64_t(std::ceil(rows));
  answer_.too_short = !must && rows <= 0 && !keeps_all(policy);
  if (must && rows <= 0 && !options_.allow_uncompressed)
    throw Error(
        fmt::format("policy {}: of {} tokens none was coded or evicted, though it should have been: its answers "
                    "would be those of the F16 cache",
                    policy.name, cache_->seen()),
        kExitFailed);
}

Answer Row::finish() {
  assert(ended_);
  if (!context_) {  // those of a Score were taken before its continuations
    if (std::holds_alternative<Generate>(request_.want)) mark_compressed();
    observe_bytes(*cache_, answer_.bytes);
    if (std::holds_alternative<Rolling>(request_.want)) answer_.bytes.kept_after_prompt = answer_.bytes.kept;
    if (!options_.allow_uncompressed) check_saved(*cache_, answer_.bytes);
  }
  cache_.reset(), context_.reset();
  answer_.text = replace_invalid_utf8(answer_.text);
  answer_.seconds = seconds_since(began_);
  return std::move(answer_);
}

}  // namespace sluice
