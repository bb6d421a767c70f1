// Typed parameters as they come beside files: the line that a module gives to a part of its own, and --set. See
// targets.h.
#include "core/base/text.h"
#include "fuzz/targets.h"
#include "support/config_folder.h"

namespace sluice::fuzz {

std::string parameters(std::string_view bytes) {
  static testing::ConfigFolder folder;
  const size_t end = std::min(bytes.find('\n'), bytes.size());
  const std::string_view line = bytes.substr(0, end);
  std::string refused;
  for (const Module& module : folder.registry.modules())
    refused = refusal([&] { read_part_params(*module.module, line, [](std::span<const sluice_value>) {}); });
  if (end == bytes.size()) return refused;
  std::vector<std::string> overrides;
  for (const std::string_view word : split(bytes.substr(end + 1), '\n')) overrides.emplace_back(word);
  configured_plugin_path({}, overrides);
  return refusal([&] {
    const Config config = default_config(overrides, &folder.registry);
    const auto describe = [&](const char* id, const std::optional<ModuleChoice>& choice) {
      if (choice) describe_choice(folder.registry.find(id, choice->name, {}), *choice);
    };
    describe(SLUICE_EVICTOR, config.policy.evictor);
    describe(SLUICE_CODEC, config.policy.key_codec);
    describe(SLUICE_CODEC, config.policy.value_codec);
  });
}

}  // namespace sluice::fuzz
