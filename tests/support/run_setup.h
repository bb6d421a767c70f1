// An engine for tests: the built plugins, one model, and policies written as settings on a command line.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/run/engine.h"
#include "core/run/policy_builder.h"
#include "support/extension_evictors.h"

namespace sluice::testing {

struct RunSetup {
  ThreadPool pool;
  Registry registry;
  std::string model;
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Policy>> policies;  // policy() keeps them

  // `context`: positions to be ready for.
  explicit RunSetup(const std::filesystem::path& path, uint32_t context, unsigned threads = 2,
                    std::vector<std::string> settings = {})
      : pool(threads), registry(folders(), pool), model("model.path=\"" + path.string() + "\"") {
    registry.add(extension_evictors_plugin());
    registry.read_part_params_with(read_part_params);
    Engine::Options options;
    options.context = context;
    engine = std::make_unique<Engine>(registry, config(std::move(settings)), options);
  }
  static std::span<const std::filesystem::path> folders() {
    static const std::vector<std::filesystem::path> list{SLUICE_PLUGINS};
    return list;
  }
  Config config(std::vector<std::string> settings) const {
    settings.push_back(model);
    return default_config(settings, &registry);
  }
  const Policy& policy(const std::vector<std::string>& settings) {
    policies.push_back(build_policy(registry, config(settings), engine->geometry()));
    return *policies.back();
  }
  std::unique_ptr<SequenceCache> cache(const std::vector<std::string>& settings, uint32_t tokens) {
    const Policy& p = policy(settings);
    return engine->create_cache(p, budget_tokens(config(settings), p, tokens), tokens);
  }
};

}  // namespace sluice::testing
