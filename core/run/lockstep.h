// Fidelity: one text, teacher-forced through several policies at once, weights read once per step, each position's
// distribution compared with the reference cache's while both are in memory. In decode mode every token is scored
// by a cache that already is what the policy makes of it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "core/report/result.h"
#include "core/run/engine.h"

namespace sluice {

struct LockstepOptions {
  bool exact = true;   // float activations
  uint32_t chunk = 1;  // rows of a step: 1 is decode mode
  // Look into attention at every so many positions (AttentionProbe); 0: not at all. In decode mode, with a reference.
  uint32_t attention_every = 0;
  bool speed = true;  // afterwards let each policy alone decode some tokens, in `fast`
  uint32_t speed_tokens = 32;
  // Positions beyond the text that the measurement takes: the first steps only warm caches up.
  uint32_t speed_room() const { return speed ? speed_tokens + kWarmUp : 0; }
  static constexpr uint32_t kWarmUp = 2;
  const std::atomic<bool>* stop = nullptr;  // set: end after this step, with what was scored
  std::function<void(uint64_t tokens, const std::string& note)> progress;  // after each step
  // Called before the first step with what gives the rows of all steps so far. That may be called from another thread
  // while this one is stuck in a step.
  std::function<void(std::function<std::vector<PolicyResult>()> so_far)> offer;
  // Gets the rows of all steps so far when one fails, before the failure goes on to the caller.
  std::function<void(std::vector<PolicyResult>)> failed;
  // Sees the logits of every position of every policy: for tests.
  std::function<void(uint32_t position, uint32_t policy, std::span<const float> logits)> watch;
};

// A policy in the comparison. `reference`: the row the others are measured against (one at most).
struct LockstepPolicy {
  const Config* config;
  const Policy* policy;
  bool reference = false;
};

// One row per policy, in order. All of `tokens` are fed; all but the first are targets.
std::vector<PolicyResult> run_lockstep(Engine& engine, std::span<const LockstepPolicy> policies,
                                       std::span<const int32_t> tokens, const LockstepOptions& options);

// True for a policy that keeps everything as F16.
bool keeps_all(const Policy& policy);

}  // namespace sluice
