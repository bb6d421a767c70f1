// A configuration file: TOML, `extends`, [sweep], the schema and modules' parameters, and how it is shown. See
// targets.h.
#include "fuzz/targets.h"
#include "support/config_folder.h"

namespace sluice::fuzz {

std::string toml(std::string_view bytes) {
  static testing::ConfigFolder folder;
  static const std::filesystem::path base = folder.write(
      "base.toml", "[model]\npath = \"m.gguf\"\n[cache]\nbudget = \"20%\"\n[evictor]\nname = \"h2o\"\nsinks = 4\n");
  const std::filesystem::path path = folder.folder / "x.toml";
  testing::put_bytes(path, bytes);
  configured_plugin_path(path, {});
  return refusal([&] {
    load_config(path, {}, &folder.registry);
    show_config(path, {}, &folder.registry);
  });
}

}  // namespace sluice::fuzz
