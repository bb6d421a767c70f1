// One row of the batch: a job on its way from prompt to answer, a token a step. Says what to feed next and takes what
// the model makes of it; which rows run together is run.cpp's business.
#pragma once

#include <chrono>
#include <memory>

#include "core/eval/run.h"
#include "core/run/sampler.h"

namespace sluice {

class Row {
 public:
  // The budget is that of the tokens this request will hold.
  Row(Engine& engine, const EvalPolicy& policy, const EvalJob& job, const EvalRequest& request,
      const EvalOptions& options);

  // What goes in as a prompt, after the snapshot's rows if there is one.
  void prompt(const SequenceCache* prefix);
  bool ended() const { return ended_; }
  Feed feed();  // of the next step, while it has not ended
  // Logits of the token fed; called after the step, with none where feed() wanted none.
  void take(std::span<const float> logits);
  // Once it has ended: the last figures, checked. The cache is gone afterwards.
  Answer finish();

  const EvalJob& job() const { return job_; }
  uint64_t generated() const { return answer_.tokens.size(); }

 private:
  void generated_token(std::span<const float> logits);
  void scored_context(std::span<const float> logits);
  void scored_continuation(std::span<const float> logits);
  void next_continuation();
  void score(Likelihood& likelihood, std::span<const float> logits, int32_t token) const;
  void mark_compressed();

  Engine& engine_;
  const EvalRequest& request_;
  const EvalOptions& options_;
  EvalJob job_;
  std::unique_ptr<SequenceCache> cache_;
  std::unique_ptr<SequenceCache> context_;  // of a Score, as it was before its continuations
  Sampler sampler_;
  Answer answer_;
  uint32_t at_ = 0;    // the token to be fed: its place in the prompt or the continuation
  size_t choice_ = 0;  // the continuation under way
  bool continuing_ = false;
  int32_t next_ = 0;  // the token to be fed
  uint32_t steps_ = 0;
  bool ended_ = false;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Tokens that a request's cache may come to hold.
uint64_t most_tokens(const EvalRequest& request);

}  // namespace sluice
