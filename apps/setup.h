// What most commands begin with: plugins found where the configuration says, and the configuration checked
// against them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/plugins/probe.h"
#include "core/plugins/registry.h"

namespace sluice {

struct Setup {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Registry> registry;
};

// Says on stderr which folders of SLUICE_PLUGIN_PATH there are not.
void note_missing_plugin_folders();

// Tries libraries from the user's folders in a child process. `again`: also those remembered not to pass.
Prober child_prober(bool again = false);

// Plugins for these files (none: built-in places and --set only). `threads` 0: one per core.
Setup find_plugins(std::span<const std::filesystem::path> files, std::span<const std::string> overrides,
                   unsigned threads = 0);

// All policies of all files, or of --set alone. Mistakes of all files are reported together.
std::vector<Config> load_configs(std::span<const std::filesystem::path> files, std::span<const std::string> overrides,
                                 const Registry& registry);

}  // namespace sluice
