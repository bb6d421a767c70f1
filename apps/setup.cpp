// See setup.h.
#include "apps/setup.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {

void note_missing_plugin_folders() {
  const char* variable = std::getenv("SLUICE_PLUGIN_PATH");
  // Sessions look for plugins twice.
  static bool said = false;
  if (!variable || std::exchange(said, true)) return;
  for (const std::string_view folder : split(variable, ':')) {
    std::error_code error;
    if (!folder.empty() && !std::filesystem::is_directory(folder, error))
      fmt::print(stderr, "sluice: SLUICE_PLUGIN_PATH: {} is no folder\n", folder);
  }
}

Prober child_prober(bool again) {
  return {.command = {kThisProgram, "plugin", "probe"}, .cache = probe_cache(), .again = again};
}

Setup find_plugins(std::span<const std::filesystem::path> files, std::span<const std::string> overrides,
                   unsigned threads) {
  note_missing_plugin_folders();
  std::vector<std::filesystem::path> folders;
  if (files.empty()) folders = configured_plugin_path({}, overrides);
  for (const std::filesystem::path& file : files) {
    for (std::filesystem::path& folder : configured_plugin_path(file, overrides)) folders.push_back(std::move(folder));
  }
  Setup setup;
  setup.pool = std::make_unique<ThreadPool>(threads);
  const Prober prober = child_prober();
  setup.registry = std::make_unique<Registry>(Registry::search_path(folders), *setup.pool, &prober);
  setup.registry->read_part_params_with(read_part_params);
  return setup;
}

std::vector<Config> load_configs(std::span<const std::filesystem::path> files, std::span<const std::string> overrides,
                                 const Registry& registry) {
  std::vector<Config> configs;
  if (files.empty()) configs.push_back(default_config(overrides, &registry));
  std::string mistakes;
  for (const std::filesystem::path& file : files) {
    try {
      for (Config& config : load_config(file, overrides, &registry)) configs.push_back(std::move(config));
    } catch (const Error& error) {
      mistakes += (mistakes.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!mistakes.empty()) throw Error(mistakes);
  return configs;
}

}  // namespace sluice
