// See snapshots.h.
#include "core/eval/snapshots.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>
#include <set>

#include "core/eval/tokens.h"

namespace sluice {
namespace {

// Prefixes below this are not worth a snapshot.
constexpr uint32_t kLeastPrefix = 16;
constexpr size_t kNone = SIZE_MAX;

// A chunked prompt sees its beginning compressed, which a snapshot of exact rows is not.
bool can_share(const Policy& policy) { return policy.chunk == 0; }

// Last queries of a prompt that an evictor wants to see itself.
uint32_t window_of(const Policy& policy) {
  uint32_t most = 0;
  for (const LayerPolicy& layer : policy.layers) most = std::max({most, layer.window_size, layer.signal[1].window});
  return most;
}

bool same_snapshot(const Policy& a, const Policy& b) {
  if (a.rolling != b.rolling) return false;
  for (size_t l = 0; l < a.layers.size(); l++)
    if (std::memcmp(&a.layers[l].signal[1], &b.layers[l].signal[1], sizeof(sluice_signal)) != 0) return false;
  return true;
}

}  // namespace

uint32_t prompt_part(const EvalRequest& request, uint32_t score_window) {
  const auto n = uint32_t(request.prompt.size());
  if (std::holds_alternative<Rolling>(request.want)) return 0;
  return std::holds_alternative<Generate>(request.want) ? n : n - std::min(n, score_window);
}

uint32_t feed_prompt_part(Engine& engine, SequenceCache& cache, const EvalRequest& request, const SequenceCache* prefix,
                          Want want, const EvalOptions& options, const LogitSink& sink) {
  const uint32_t n = prompt_part(request, options.score_window), shared = prefix ? prefix->seen() : 0;
  assert(shared == 0 || shared < n);
  const std::span<const int32_t> tokens = std::span(request.prompt).subspan(shared, n - shared);
  if (prefix)
    engine.prompt({&cache, tokens, want}, prefix, options.exact, sink);
  else if (n > 0)
    engine.feed_prompt(cache, tokens, want, options.exact, sink);
  return shared;
}

uint32_t shared_prefix(std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                       std::span<const EvalJob> jobs, const EvalOptions& options) {
  if (!options.share_prefix) return 0;
  uint32_t window = 0, shortest = UINT32_MAX;
  std::vector<bool> used(requests.size());
  for (const EvalJob& job : jobs) {
    const EvalRequest& request = requests[job.request];
    if (request.truncated || !can_share(*policies[job.policy].policy)) continue;
    used[job.request] = true;
    window = std::max(window, window_of(*policies[job.policy].policy));
    shortest = std::min(shortest, prompt_part(request, options.score_window));
  }
  std::vector<std::span<const int32_t>> prompts;
  for (size_t i = 0; i < requests.size(); i++)
    if (used[i]) prompts.push_back(requests[i].prompt);
  const uint32_t follow = std::max(window, 1u);  // tokens that must come after it
  if (prompts.size() < 2 || shortest < follow) return 0;
  const uint32_t n = std::min(common_prefix(prompts), shortest - follow);
  return n < kLeastPrefix ? 0 : n;
}

Snapshots::Snapshots(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                     std::span<const EvalJob> jobs, const EvalOptions& options)
    : engine_(engine), requests_(requests), exact_(options.exact) {
  std::map<uint32_t, std::vector<EvalJob>> whole;
  for (const EvalJob& job : options.whole.empty() ? jobs : options.whole)
    whole[requests[job.request].family].push_back(job);
  for (const auto& [family, of_family] : whole)
    families_[family] = {std::vector<int32_t>(shared_prefix(policies, requests, of_family, options)),
                         std::vector<size_t>(policies.size(), kNone)};
  std::set<uint32_t> known;  // families whose prefix is filled in
  for (size_t i = 0; i < jobs.size(); i++) {
    const EvalRequest& request = requests[jobs[i].request];
    const Policy& policy = *policies[jobs[i].policy].policy;
    Family& family = families_[request.family];
    if (family.prefix.empty() || request.truncated || !can_share(policy)) continue;
    if (known.insert(request.family).second)
      std::copy_n(request.prompt.begin(), family.prefix.size(), family.prefix.begin());
    size_t& group = family.group_of[jobs[i].policy];
    if (group == kNone) {
      Policy snapshot = snapshot_policy(policy);
      for (group = 0; group < groups_.size(); group++)
        if (groups_[group].family == &family && same_snapshot(*groups_[group].policy, snapshot)) break;
      if (group == groups_.size()) {
        Group& made = groups_.emplace_back();
        made.family = &family, made.first = i;
        made.policy = std::make_unique<Policy>(std::move(snapshot));
      }
    }
    groups_[group].last = i, groups_[group].left++;
  }
}

uint32_t Snapshots::tokens() const {
  size_t most = 0;
  for (const auto& [number, family] : families_) most = std::max(most, family.prefix.size());
  return uint32_t(most);
}

Snapshots::Group* Snapshots::group_of(const EvalJob& job) {
  const EvalRequest& request = requests_[job.request];
  const size_t group = families_.at(request.family).group_of[job.policy];
  return group == kNone || request.truncated ? nullptr : &groups_[group];
}

const SequenceCache* Snapshots::find(const EvalJob& job) {
  Group* const group = group_of(job);
  if (!group) return nullptr;
  if (!group->cache) {
    const std::vector<int32_t>& prefix = group->family->prefix;
    std::unique_ptr<SequenceCache> cache = engine_.create_cache(*group->policy, 0, uint32_t(prefix.size()));
    engine_.prompt({cache.get(), prefix, Want::kNothing}, nullptr, exact_, [](std::span<const LogitRow>) {});
    group->cache = std::move(cache);
  }
  return group->cache.get();
}

void Snapshots::ended(const EvalJob& job) {
  Group* const group = group_of(job);
  if (group && --group->left == 0) group->cache.reset();
}

CacheBound Snapshots::bound(uint32_t batch) const {
  CacheBound most;
  std::vector<uint64_t> bytes;
  for (const Group& group : groups_) {
    const auto n = uint32_t(group.family->prefix.size());
    const CacheBound one = engine_.create_cache(*group.policy, 0, n)->bound(n, 0);
    bytes.push_back(one.held), most.prompt = std::max(most.prompt, one.prompt);
  }
  // When a group begins, others are still to be used, and jobs of those that are not may have gone on all the while.
  for (const Group& now : groups_) {
    uint64_t sum = 0;
    std::vector<uint64_t> late;
    for (size_t g = 0; g < groups_.size(); g++) {
      if (groups_[g].first > now.first) continue;
      if (groups_[g].last >= now.first)
        sum += bytes[g];
      else
        late.push_back(bytes[g]);
    }
    std::sort(late.rbegin(), late.rend());
    late.resize(std::min<size_t>(late.size(), batch - 1));
    most.held = std::max(most.held, std::accumulate(late.begin(), late.end(), sum));
  }
  return most;
}

}  // namespace sluice
