// The prefixes that a run's requests share, family by family: which tokens they have, and their rows, prefilled once
// per group of policies that can share them. A snapshot is made when the first job needs it and goes with the last that
// does.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/eval/run.h"

namespace sluice {

// Tokens of a request that go in as a prompt; those that follow are decoded one by one.
uint32_t prompt_part(const EvalRequest& request, uint32_t score_window);

// Feeds that part, after the snapshot's rows if there is one; returns how many tokens those are.
uint32_t feed_prompt_part(Engine& engine, SequenceCache& cache, const EvalRequest& request, const SequenceCache* prefix,
                          Want want, const EvalOptions& options, const LogitSink& sink);

// How many tokens the jobs' requests, all of one family, share that all of their policies can take from a snapshot: 0
// where sharing is switched off or worth nothing.
uint32_t shared_prefix(std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                       std::span<const EvalJob> jobs, const EvalOptions& options);

class Snapshots {
 public:
  Snapshots(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
            std::span<const EvalJob> jobs, const EvalOptions& options);

  uint32_t tokens() const;  // of the longest prefix
  // NULL: this job shares nothing. Prefills the snapshot if nobody did.
  const SequenceCache* find(const EvalJob& job);
  // The job's cache is gone.
  void ended(const EvalJob& job);

  // Bytes of the most that live at once, and of one while it is prefilled, when `batch` jobs run at a time.
  CacheBound bound(uint32_t batch) const;

 private:
  struct Family {
    std::vector<int32_t> prefix;
    std::vector<size_t> group_of;  // [policies]
  };
  struct Group {
    const Family* family = nullptr;
    std::unique_ptr<Policy> policy;
    std::unique_ptr<SequenceCache> cache;
    size_t first = 0, last = 0, left = 0;  // jobs: the first and last by number, those that have not ended
  };
  // NULL: the job shares nothing.
  Group* group_of(const EvalJob& job);

  Engine& engine_;
  std::span<const EvalRequest> requests_;
  std::map<uint32_t, Family> families_;
  std::vector<Group> groups_;
  bool exact_;
};

}  // namespace sluice
