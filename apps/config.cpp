// `sluice config`: what configuration files come to, what is wrong with them, and what there is to configure.
#include <fmt/format.h>

#include <cstdio>

#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/setup.h"
#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

int show(const Words& words, std::span<const std::filesystem::path> files) {
  if (files.size() > 1) throw Error("sluice config show takes one file");
  const Setup setup = find_plugins(files, words.overrides(), 1);
  write_stdout(
      show_config(files.empty() ? std::filesystem::path() : files[0], words.overrides(), setup.registry.get()));
  return kExitOk;
}

int check(const Words& words, std::span<const std::filesystem::path> files) {
  if (files.empty()) throw Error("sluice config check needs a file (see `sluice help config`)");
  const Setup setup = find_plugins(files, words.overrides(), 1);
  const std::vector<Config> configs = load_configs(files, words.overrides(), *setup.registry);
  const size_t policies = configs.size();
  write_stdout(fmt::format("{} file{}, {} polic{}: no mistakes\n", files.size(), files.size() == 1 ? "" : "s", policies,
                           policies == 1 ? "y" : "ies"));
  return kExitOk;
}

}  // namespace

int run_config(std::span<const std::string> args) {
  po::options_description options = config_options();
  options.add_options()("markdown", "schema: as Markdown");
  const auto words =
      parse_words("config", args, options, {.names = {"show, check or schema", "FILE"}, .least = 1, .repeat = true});
  if (!words) return kExitOk;
  const std::string& verb = words->positional[0];
  const std::vector<std::filesystem::path> files(words->positional.begin() + 1, words->positional.end());
  if (verb == "show") return show(*words, files);
  if (verb == "check") return check(*words, files);
  if (verb == "schema" && files.empty()) {
    const Setup setup = find_plugins({}, words->overrides(), 1);
    const Registry* registry = setup.registry.get();
    write_stdout(words->has("markdown") ? config_reference_markdown(registry) : config_schema_json(registry));
    return kExitOk;
  }
  const std::vector<std::string> verbs = {"show", "check", "schema"};
  if (verb == "schema") throw Error("sluice config schema takes no file");
  throw Error(fmt::format("sluice config does not know \"{}\"{}", verb, did_you_mean(verb, verbs)));
}

}  // namespace sluice
