// Runs an evaluation's requests as a batch that is refilled as rows end: a prefix that all share is prefilled once,
// policies share one copy of the weights, and no bit of an answer depends on the batch, the order or the sharing.
#pragma once

#include <atomic>
#include <functional>
#include <span>

#include "core/eval/request.h"
#include "core/run/engine.h"
#include "core/run/policy_builder.h"

namespace sluice {

struct EvalPolicy {
  const Config* config = nullptr;
  const Policy* policy = nullptr;
};

// One request under one policy: indices.
struct EvalJob {
  uint32_t policy = 0, request = 0;
};

// The most that a run takes, told before it begins. Memory that a backend takes for itself while it computes is not
// among it.
struct MemoryPlan {
  uint32_t rows = 0;  // sequences that run together
  uint64_t weights = 0, activations = 0;
  uint64_t workspace = 0;  // of attention, tables of positions
  uint64_t caches = 0;     // of as many sequences as the batch has rows, at their largest
  uint64_t snapshots = 0;  // of shared prefixes
  uint64_t passing = 0;    // while a prompt goes through a layer, or layers settle
  uint64_t in_arena() const { return caches + snapshots + passing + workspace; }
  uint64_t total() const { return weights + activations + in_arena(); }
};

struct EvalProgress {
  uint64_t answered = 0, generated = 0;  // jobs; tokens of those that ended and of those under way
  uint64_t cache_bytes = 0;              // in the arena now
};

struct EvalOptions {
  uint32_t batch = 1;
  uint32_t score_window = 32;
  bool exact = false;        // float activations
  bool share_prefix = true;  // a snapshot, where policies can use one
  // Of a run that is resumed, all jobs it ever had: the prefix is as long as it was then. Empty: those given.
  std::span<const EvalJob> whole;
  bool allow_uncompressed = false;  // a policy that compresses nothing where it should is no error
  SamplerConfig sampler;            // greedy by default; else each request has a generator of its own, by its id
  const std::atomic<bool>* stop = nullptr;  // set: rows under way are dropped
  // Gets each answer as its row ends. What it throws ends the run. A verb that hangs never comes back: what is to be
  // kept must be on the disk when this returns.
  std::function<void(const Answer&)> answer;
  std::function<void(const EvalProgress&)> progress;  // after each prompt and step
};

struct EvalRun {
  uint64_t answered = 0, generated = 0, prompt_tokens = 0;
  uint32_t prefix_tokens = 0;  // of the shared prefix
  bool interrupted = false;
  MemoryPlan plan;
  uint64_t arena_peak = 0;  // measured; at most plan.in_arena()
  double seconds = 0;
};

// Throws Error for what cannot run: a request that does not fit the context, an empty prompt or continuation, a budget
// that a policy cannot work with. Makes room for the activations, so that they grow no more.
MemoryPlan plan_evaluation(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                           std::span<const EvalJob> jobs, const EvalOptions& options);

// The jobs in their order, as rows become free.
EvalRun run_evaluation(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                       std::span<const EvalJob> jobs, const EvalOptions& options);

}  // namespace sluice
