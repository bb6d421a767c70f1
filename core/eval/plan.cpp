// See run.h: what a run takes at most, and whether it can run at all.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/eval/row.h"
#include "core/eval/snapshots.h"

namespace sluice {
namespace {

[[noreturn]] void refuse(const EvalRequest& request, const std::string& why) {
  throw Error(fmt::format("request {}: {}", request.id, why));
}

void check_request(const EvalRequest& request) {
  if (request.prompt.empty()) refuse(request, "the prompt has no token");
  if (const auto* generate = std::get_if<Generate>(&request.want); generate && generate->max_tokens == 0)
    refuse(request, "0 tokens are to be generated; 1 at least");
  if (const auto* score = std::get_if<Score>(&request.want)) {
    if (score->continuations.empty()) refuse(request, "there is no continuation to score");
    for (const auto& continuation : score->continuations)
      if (continuation.empty()) refuse(request, "a continuation to score has no token");
  }
  if (const auto* rolling = std::get_if<Rolling>(&request.want))
    if (rolling->given == 0 || rolling->given >= request.prompt.size())
      refuse(request, fmt::format("of {} tokens the first {} are given, so that none can be scored",
                                  request.prompt.size(), rolling->given));
}

// What the jobs of one policy ask of it: bounds grow with each of these.
struct Demand {
  uint64_t most = 0, least = UINT64_MAX, prompt = 0;
  bool forks = false;  // continuations of several tokens go on from a copy
};

}  // namespace

MemoryPlan plan_evaluation(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                           std::span<const EvalJob> jobs, const EvalOptions& options) {
  if (options.batch == 0) throw Error("a batch of 0 rows runs nothing");
  std::vector<Demand> demands(policies.size());
  uint64_t longest = 0;
  uint32_t chunk = 0;
  for (const EvalJob& job : jobs) {
    const EvalRequest& request = requests[job.request];
    const Policy& policy = *policies[job.policy].policy;
    check_request(request);
    Demand& d = demands[job.policy];
    const uint64_t tokens = most_tokens(request);
    if (tokens > engine.context() && !policy.endless())
      refuse(request, fmt::format("{} tokens, {} of the prompt and the others to come, do not fit the context of {}",
                                  tokens, request.prompt.size(), engine.context()));
    const uint64_t prompt = prompt_part(request, options.score_window);
    d.most = std::max(d.most, tokens), d.least = std::min(d.least, tokens);
    chunk = std::max(chunk, policy.chunk);
    if (policy.chunk == 0) d.prompt = std::max(d.prompt, prompt), longest = std::max(longest, prompt);
    if (const auto* score = std::get_if<Score>(&request.want))
      for (const auto& continuation : score->continuations) d.forks |= continuation.size() > 1;
  }
  const Snapshots snapshots(engine, policies, requests, jobs, options);
  const CacheBound shared = snapshots.bound(options.batch);
  const auto rows = uint32_t(std::min<uint64_t>(options.batch, std::max<size_t>(jobs.size(), 1)));
  engine.reserve(std::max(rows, chunk), uint32_t(longest));

  MemoryPlan plan;
  uint64_t held = 0, prompt = shared.prompt, step = 0, work = 0;
  for (size_t i = 0; i < policies.size(); i++) {
    const Demand& d = demands[i];
    if (d.most == 0) continue;  // no job
    const Policy& policy = *policies[i].policy;
    const auto create = [&](uint64_t tokens) {
      return engine.create_cache(policy, budget_tokens(*policies[i].config, policy, uint32_t(tokens)),
                                 uint32_t(tokens));
    };
    create(d.least);  // throws if its budget is too small for the policy
    const auto cache = create(d.most);
    const CacheBound bound = cache->bound(uint32_t(d.prompt), 0);
    held = std::max(held, bound.held * (d.forks ? 2 : 1));
    prompt = std::max(prompt, bound.prompt), step = std::max(step, bound.step);
    for (uint32_t l = 0; l < policy.geometry.layers; l++) {
      const LayerPolicy& layer = policy.layers[l];
      if (!layer.coded()) continue;
      const auto rows_of = [&](uint32_t side) {
        return uint32_t(std::min<uint64_t>(layer.plan[side].max_rows, d.most));
      };
      const CodedWork one =
          coded_work(policy, l, {rows_of(SLUICE_KEY), rows_of(SLUICE_VALUE)}, d.most, std::max(policy.chunk, 1u),
                     policy.geometry.kv_heads, engine.registry().pool().threads());
      work = std::max(work, one.scores + one.lane() * policy.geometry.kv_heads);
    }
  }
  plan.weights = engine.weight_bytes(), plan.activations = engine.activation_bytes();
  // It grows by a quarter more than is asked for; both precisions have one.
  plan.workspace = engine.workspace_bytes() + work * rows * sizeof(float) * 5 / 4 + 64;
  plan.workspace += uint64_t(rows) * engine.hyper().vocab * sizeof(float);  // logits that wait for their rows
  plan.rows = rows;
  plan.caches = held * rows, plan.snapshots = shared.held;
  plan.passing = std::max(prompt, step * engine.registry().pool().threads());
  return plan;
}

}  // namespace sluice
