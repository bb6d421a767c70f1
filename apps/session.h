// What commands that run a model share: configurations, plugins, the loaded model, and the figures about it that
// every report carries.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/hang_guard.h"
#include "apps/options.h"
#include "core/config/config.h"
#include "core/report/result.h"
#include "core/run/engine.h"
#include "core/run/policy_builder.h"

namespace sluice {

struct Session {
  std::unique_ptr<HangGuard> hang_guard;  // outlives what it watches
  std::vector<Config> configs;            // one per policy, sweeps expanded
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<Engine> engine;

  uint32_t threads() const { return pool->threads(); }
};

// Reads the files (none: the defaults) with --set overrides, finds plugins, opens and loads the model, with a
// progress line. All configurations must agree on the model and on all that the backend is told. `context`: positions
// to be ready for, 0: the configuration's.
Session open_session(std::span<const std::string> files, std::span<const std::string> overrides, uint32_t context);
// The first half of it: configurations and plugins, checked; no model.
Session open_configs(std::span<const std::string> files, std::span<const std::string> overrides);
// `prompt_line`: long prompts have a progress line of their own.
void load_model(Session& session, uint32_t context, bool prompt_line = true);

// --precision exact|fast; without it what the backend's `precision` says, `fast` where it says nothing.
bool wants_exact(const Words& words, const Config& config);

// The policy of F16 rows that keeps all, named "full".
Config reference_config(const Config& like);

// "Q4_1 (and Q8_0, F32)": the type that holds most weights, and the others.
std::string weight_types(const ModelFile& file);
uint64_t parameter_count(const ModelFile& file);
// "AMD EPYC, 2 cores"
std::string machine_name();
std::string date_text();
MemoryUse memory_use(const Engine& engine);

}  // namespace sluice
