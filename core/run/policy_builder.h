// From a configuration to the policy that governs caches: instances of the modules it names, per layer, with the
// checks that need to know the modules (a codec under an evictor must retain).
#pragma once

#include <memory>

#include "core/cache/policy.h"
#include "core/config/config.h"

namespace sluice {

// `simulate`: the device reads no codec's blocks (LayerPolicy::simulated).
std::unique_ptr<Policy> build_policy(Registry& registry, const Config& config, const sluice_geometry& geometry,
                                     bool simulate = false);

// What a module says it wants, before anything is built on it. Throw Error naming the module and its numbers.
void check_plan(const Instance& codec, const sluice_codec_plan& plan);
void check_signal(const Instance& evictor, const sluice_signal& signal);

// Tokens a lane may hold under this configuration in a run of `run_tokens` tokens: 0 if nothing is evicted. Shares
// are of run_tokens, bytes are divided by what the policy's rows take; both round down.
uint32_t budget_tokens(const Config& config, const Policy& policy, uint32_t run_tokens);

// For people: "gear bits=2 rank=4, h2o recent=50%, budget 20% = 204 tokens".
std::string describe_policy(const Config& config, const Policy& policy, uint32_t budget);

}  // namespace sluice
