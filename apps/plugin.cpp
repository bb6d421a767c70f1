// `sluice plugin`: what plugins there are, why some are not usable, and what a module takes and can do. Longer verbs
// have files of their own (plugin_verbs.h).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/plugin_verbs.h"
#include "apps/setup.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/config/params.h"
#include "core/plugins/describe.h"
#include "core/plugins/registry.h"

namespace sluice {
namespace {

struct Plugins {
  explicit Plugins(const Words& words, bool again = false)
      : prober(child_prober(again)), registry(Registry::search_path(folders(words)), pool, &prober) {
    note_missing_plugin_folders();
  }
  static std::vector<std::filesystem::path> folders(const Words& words) {
    std::vector<std::filesystem::path> list;
    for (const std::string& folder : words.list("path")) {
      std::error_code error;
      if (!std::filesystem::is_directory(folder, error))
        throw Error(fmt::format("sluice plugin: --path {} is no folder", folder));
      list.emplace_back(folder);
    }
    return list;
  }
  ThreadPool pool{1};
  Prober prober;
  Registry registry;
};

int list(const Words& words) {
  const Plugins plugins(words, true);
  std::vector<Module> modules = plugins.registry.modules();
  for (Module& module : modules)
    if (module.module && !(module.reason = missing_device(*module.module)).empty()) module.module = nullptr;
  std::stable_sort(modules.begin(), modules.end(), [](const Module& a, const Module& b) {
    return std::tuple(!a.module, a.interface_id, a.name) < std::tuple(!b.module, b.interface_id, b.name);
  });
  if (output_format(words, "md|json") == "json") {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Module& module : modules) {
      nlohmann::ordered_json row = {{"name", module.name},
                                    {"interface", module.interface_id},
                                    {"available", module.module != nullptr},
                                    {"library", module.library.string()}};
      if (module.module) {
        row["version"] = module.module->version;
        row["summary"] = module.module->summary;
      } else {
        row["reason"] = module.reason;
      }
      rows.push_back(std::move(row));
    }
    write_stdout(rows.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return kExitOk;
  }
  if (modules.empty()) {
    const auto folders = Registry::search_path(Plugins::folders(words));
    std::string text = "No plugins in\n";
    for (const auto& folder : folders) text += "  " + folder.string() + "\n";
    throw Error(text + "Set SLUICE_PLUGIN_PATH or [plugins] path to where *.sluice.so files are.", kExitFailed);
  }
  size_t width = 0;
  for (const Module& module : modules) width = std::max(width, module.name.size());
  std::string text, unavailable;
  const auto shown = [](std::string_view said) { return printable(said, 4096); };
  for (const Module& module : modules) {
    if (module.module) {
      text += fmt::format("{:<{}}  {:<18}  {}\n", shown(module.name), width, module.interface_id,
                          shown(module.module->summary));
    } else {
      unavailable += fmt::format("{:<{}}  {}: {}\n", shown(module.name), width, shown(module.library.string()),
                                 shown(module.reason));
    }
  }
  if (!unavailable.empty()) text += (text.empty() ? "" : "\n") + ("unavailable:\n" + unavailable);
  write_stdout(text);
  return kExitOk;
}

// [low, high]; null where nothing bounds it.
template <class T>
nlohmann::ordered_json range_of(T low, T high) {
  auto range = nlohmann::ordered_json::array({nullptr, nullptr});
  if (low > std::numeric_limits<T>::lowest()) range[0] = low;
  if (high < std::numeric_limits<T>::max()) range[1] = high;
  return range;
}

nlohmann::ordered_json to_json(const Module& entry) {
  const sluice_module& module = *entry.module;
  nlohmann::ordered_json json = {{"name", module.name},
                                 {"interface", module.interface_id},
                                 {"version", module.version},
                                 {"description", module.summary},
                                 {"reference", nullptr},
                                 {"library", entry.library.string()},
                                 {"parameters", nlohmann::ordered_json::array()}};
  if (module.reference) json["reference"] = module.reference;
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    constexpr const char* kTypes[] = {"int", "float", "bool", "string", "choice", "tokens", "path"};
    nlohmann::ordered_json row = {{"name", param.name}, {"type", kTypes[param.type]}, {"required", param.required != 0},
                                  {"default", nullptr}, {"range", nullptr},           {"choices", nullptr}};
    if (!param.required) row["default"] = value_json(param, param.initial);
    if (param.type == SLUICE_INT || param.type == SLUICE_TOKENS) row["range"] = range_of(param.min.i, param.max.i);
    if (param.type == SLUICE_FLOAT) row["range"] = range_of(param.min.f, param.max.f);
    if (param.type == SLUICE_CHOICE) {
      row["choices"] = nlohmann::ordered_json::array();
      sluice_value choice{};
      for (; size_t(choice.i) < choices_of(param).size(); choice.i++)
        row["choices"].push_back(value_json(param, choice));
    }
    row["help"] = param.doc;
    json["parameters"].push_back(std::move(row));
  }
  return json;
}

int describe_all(const Words& words) {
  const Plugins plugins(words);
  write_stdout(policies_markdown(plugins.registry.modules()));
  return kExitOk;
}

int describe(const Words& words) {
  const bool json = output_format(words, "md|json") == "json";
  if (json && words.has("markdown")) throw Error("sluice plugin describe: --json and --markdown exclude each other");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();  // a name may be provided for several interfaces
  const std::string& name = words.positional[1];
  const Plugins plugins(words);
  std::string text;
  std::vector<std::string> names;
  for (const Module& module : plugins.registry.modules()) {
    if (!module.module) continue;
    names.push_back(module.name);
    if (module.name != name) continue;
    if (json) rows.push_back(to_json(module));
    if (!text.empty()) text += "\n";
    text += words.has("markdown") ? describe_markdown(*module.module) : describe_text(module);
  }
  if (text.empty()) {
    for (const Module& module : plugins.registry.modules()) {
      if (!module.module && module.name == name) {
        throw Error(
            fmt::format("\"{}\" is unavailable: {} {}", name, module.library.string(), printable(module.reason, 4096)));
      }
    }
    std::sort(names.begin(), names.end());
    throw Error(
        fmt::format("no plugin provides \"{}\"{}; there are: {}", name, did_you_mean(name, names), join(names)));
  }
  if (json) text = rows.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  write_stdout(text);
  return kExitOk;
}

}  // namespace

int run_plugin(std::span<const std::string> args) {
  if (!args.empty() && args[0] == "check") return run_plugin_check(args.subspan(1));
  if (!args.empty() && args[0] == "trace") return run_plugin_trace(args.subspan(1));
  if (!args.empty() && args[0] == "try") return run_plugin_try(args.subspan(1));
  po::options_description options = output_options("md|json");
  options.add_options()("markdown", "describe: as Markdown")(
      "path", po::value<std::vector<std::string>>()->composing()->value_name("FOLDER"),
      "look here first; may be repeated (SLUICE_PLUGIN_PATH names folders for all commands)")(
      "kind", po::value<std::string>()->value_name("K"), "new: evictor (default) or codec")(
      "lang", po::value<std::string>()->value_name("L"), "new: c (default) or c++")(
      "out", po::value<std::string>()->value_name("DIR"), "new: the folder to make (default: the policy's name)");
  const auto words = parse_words("plugin", args, options,
                                 {.names = {"list, describe, check, trace or new", "a module's name"}, .least = 1});
  if (!words) return kExitOk;
  const std::string& verb = words->positional[0];
  const bool named = words->positional.size() == 2;
  if (verb == "list" && !named) return list(*words);
  if (verb == "describe" && named) return describe(*words);
  if (verb == "describe" && words->has("markdown")) return describe_all(*words);
  if (verb == "probe" && named) return run_probe(words->positional[1]);  // what child_prober() starts
  if (verb == "new" && named) return new_plugin(*words);
  if (verb == "new") throw Error("sluice plugin new needs a name for the policy, as in `sluice plugin new my_evictor`");
  if (verb == "describe") throw Error("sluice plugin describe needs a module's name (see `sluice plugin list`)");
  const std::vector<std::string> verbs = {"list", "describe", "check", "new", "trace"};
  if (verb == "list") throw Error("sluice plugin list takes no name; `sluice plugin describe NAME` tells of one");
  throw Error(fmt::format("sluice plugin does not know \"{}\"{}", verb, did_you_mean(verb, verbs)));
}

}  // namespace sluice
