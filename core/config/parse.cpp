// Makes a Config of a merged table: every key is looked up in the schema or, in a module's table, left to the
// module's own list. Says what is wrong, all at once; how values come together is expand.cpp's business.
#include "core/config/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/config/params.h"
#include "core/config/schema.h"
#include "core/plugins/interfaces.h"

namespace sluice {
namespace {

std::vector<std::string_view> keys_of(std::string_view section) {
  std::vector<std::string_view> names;
  for (const Key& key : schema_keys()) {
    const size_t dot = key.path.find('.');
    if (key.path.substr(0, dot == key.path.npos ? 0 : dot) == section) {
      names.push_back(dot == key.path.npos ? key.path : key.path.substr(dot + 1));
    }
  }
  return names;
}

// Made once: a sweep needs them for every policy.
const Config& defaults() {
  static const Config made = [] {
    Config config;
    Mistakes none;
    for (const Key& key : schema_keys()) {
      if (key.initial.empty()) continue;
      const Table table = read_override(fmt::format("value={}", key.initial), none);
      Node node = *table.find("value");
      node.place = {};
      key.set(config, node);
    }
    return config;
  }();
  return made;
}

bool names_nothing(const std::string& name) { return name.empty() || name == "none"; }

struct Parser {
  const Registry* registry;
  Mistakes& mistakes;
  Config config;

  // A key of the schema; false if there is no such key.
  bool known_key(std::string_view section, const std::string& name, const Node& node) {
    const Key* key = find_key(section.empty() ? name : fmt::format("{}.{}", section, name));
    if (!key) return false;
    const std::string problem = check_value(*key, node);
    if (problem.empty()) {
      key->set(config, node);
    } else {
      mistakes.add(node.place, section.empty() ? fmt::format("{} {}", name, problem)
                                               : fmt::format("[{}] {} {}", section, name, problem));
    }
    return true;
  }

  void plain_section(std::string_view section, const Table& table) {
    for (const Table::Entry& entry : table.entries) {
      if (mistakes.full()) return;
      if (known_key(section, entry.key, entry.node)) continue;
      const auto names = keys_of(section);
      mistakes.add(entry.key_place, fmt::format("[{}] has no \"{}\"; it takes: {}{}", section, printable(entry.key),
                                                join(names), did_you_mean(entry.key, names)));
    }
  }

  // A module's table. `label` is what messages call it; `interface_id` what must provide the module.
  ModuleChoice choice(const Node& node, const std::string& label, const char* interface_id,
                      const std::string& default_name = "") {
    ModuleChoice result;
    result.name = default_name;
    result.place = node.place;
    const Table& table = *node.table();
    const Node* name = table.find("name");
    bool named = !default_name.empty();
    if (name && name->text()) {
      result.name = *name->text();
      result.place = name->place;
      named = true;
    } else if (name) {
      mistakes.add(name->place, fmt::format("[{}] name takes a string, not {}", label, found(*name)));
    } else if (!named) {
      mistakes.add(node.place, fmt::format("[{}] names no {}; add name = \"...\", or \"none\" to switch it off", label,
                                           interface_noun(interface_id)));
    }
    for (const Table::Entry& entry : table.entries) {
      if (entry.key == "name") continue;
      if (entry.node.scalar()) {
        result.params[entry.key] = {entry.node.as_scalar(), entry.node.place, entry.key_place};
      } else {
        mistakes.add(entry.key_place, fmt::format("[{}] {} takes a single value, not {}", label, printable(entry.key),
                                                  found(entry.node)));
      }
    }
    if (named && !(default_name.empty() && names_nothing(result.name))) check_module(result, label, interface_id);
    return result;
  }

  void check_module(ModuleChoice& choice, const std::string& label, const char* interface_id) {
    if (!registry) return;
    try {
      const sluice_module& module = registry->find(interface_id, choice.name, choice.place.text);
      absolute_params(module, choice);
      check_params(module, choice, label, mistakes);
    } catch (const Error& error) {
      mistakes.add_lines(error.what());
    }
  }

  bool is_table(const Node& node, std::string_view label) {
    if (node.table()) return true;
    mistakes.add(node.place, fmt::format("[{}] is a table, not {}", label, found(node)));
    return false;
  }

  // evictor and codec, of the pipeline or of a range of layers (`prefix` "layers."). A member stays unset where
  // there is no table; a module that is switched off has an empty name.
  PolicyChoice policy(const Node* evictor, const Node* codec, const std::string& prefix) {
    PolicyChoice result;
    if (evictor && is_table(*evictor, prefix + "evictor")) {
      result.evictor = switched(choice(*evictor, prefix + "evictor", SLUICE_EVICTOR));
    }
    if (!codec || !is_table(*codec, prefix + "codec")) return result;
    for (const char* side : {"key", "value"}) {
      std::string label = prefix + "codec";
      if (const Node* own = codec->table()->find(side)) {
        if (!is_table(*own, fmt::format("{}.{}", label, side))) continue;
        label += fmt::format(".{}", side);
      }
      const std::optional<Node> node = side_codec(*codec, side);
      auto& member = std::string_view(side) == "key" ? result.key_codec : result.value_codec;
      member = node ? switched(choice(*node, label, SLUICE_CODEC)) : ModuleChoice{};
    }
    return result;
  }

  static ModuleChoice switched(ModuleChoice choice) {
    if (names_nothing(choice.name)) choice.name.clear(), choice.params.clear();
    return choice;
  }

  void layers(const Node& node, const Table& root) {
    const auto* list = node.array();
    if (!list) return mistakes.add(node.place, fmt::format("[[layers]] is an array of tables, not {}", found(node)));
    for (const Node& element : *list) {
      if (mistakes.full()) return;
      if (!element.table()) {
        mistakes.add(element.place, fmt::format("[[layers]] is a table, not {}", found(element)));
        continue;
      }
      layer_range(element, root);
    }
  }

  void layer_range(const Node& node, const Table& root) {
    const Table& table = *node.table();
    LayerRange range;
    range.place = node.place;
    if (const Node* given = table.find("range")) {
      range.place = given->place;
      if (!parse_range(*given, range)) {
        mistakes.add(
            given->place,
            fmt::format("[[layers]] range takes \"FIRST-LAST\" or one layer, such as \"0-1\", not {}", found(*given)));
      }
    } else {
      mistakes.add(node.place, "[[layers]] lacks range, such as range = \"0-1\"");
    }
    for (const LayerRange& other : config.layers) {
      if (range.first > other.last || range.last < other.first) continue;
      mistakes.add(range.place, fmt::format("[[layers]] {}-{} overlaps {}-{} at {}", range.first, range.last,
                                            other.first, other.last, other.place.text));
      break;  // one is enough to find it by, and all of them could be very many
    }
    for (const Table::Entry& entry : table.entries) {
      if (entry.key == "range" || entry.key == "evictor" || entry.key == "codec") continue;
      const std::vector<std::string> names = {"range", "evictor", "codec"};
      mistakes.add(entry.key_place, fmt::format("[[layers]] has no \"{}\"; it takes: {}{}", printable(entry.key),
                                                join(names), did_you_mean(entry.key, names)));
    }
    const auto own = [&](const char* name) -> std::optional<Node> {
      const Node* given = table.find(name);
      return given ? std::optional(layered(root.find(name), *given)) : std::nullopt;
    };
    const std::optional<Node> evictor = own("evictor"), codec = own("codec");
    range.policy = policy(evictor ? &*evictor : nullptr, codec ? &*codec : nullptr, "layers.");
    config.layers.push_back(std::move(range));
  }

  static bool parse_range(const Node& node, LayerRange& range) {
    if (const int64_t* layer = std::get_if<int64_t>(&node.value)) {
      if (*layer < 0 || *layer > 65535) return false;
      range.first = range.last = uint32_t(*layer);
      return true;
    }
    if (!node.text()) return false;
    const char* begin = node.text()->data();
    const char* end = begin + node.text()->size();
    const auto first = std::from_chars(begin, end, range.first);
    if (first.ec != std::errc()) return false;
    range.last = range.first;
    const char* rest = first.ptr;
    if (rest != end) {
      if (*rest != '-') return false;
      const auto last = std::from_chars(rest + 1, end, range.last);
      if (last.ec != std::errc()) return false;
      rest = last.ptr;
    }
    return rest == end && range.first <= range.last && range.last <= 65535;
  }

  void unknown_at_top(const Table::Entry& entry) {
    std::vector<std::string_view> names;
    for (const Section& section : schema_sections()) {
      if (!section.name.empty()) names.push_back(section.name);
    }
    if (entry.node.table() || entry.node.array()) {
      mistakes.add(entry.key_place, fmt::format("there is no table [{}]; tables are: {}{}", printable(entry.key),
                                                join(names), did_you_mean(entry.key, names)));
      return;
    }
    std::vector<std::string_view> all = keys_of("");
    std::string hint = did_you_mean(entry.key, all);
    // A key before its table's header is the usual cause.
    for (const Key& key : schema_keys()) {
      if (hint.empty() && key.path.ends_with("." + entry.key)) hint = fmt::format(" (did you mean \"{}\"?)", key.path);
    }
    mistakes.add(entry.key_place, fmt::format("there is no key \"{}\" outside of a table; there are: {}{}",
                                              printable(entry.key), join(all), hint));
  }

  bool exists(const char* interface_id, const std::string& name) const {
    if (!registry) return true;
    const auto& modules = registry->modules();
    return std::any_of(modules.begin(), modules.end(), [&](const Module& module) {
      return module.module && module.interface_id == interface_id && module.name == name;
    });
  }

  // Nothing about an evictor or a budget that is wrong by itself and was reported so.
  void needs_budget(const std::optional<ModuleChoice>& evictor, const char* label, const Table& root) {
    if (!evictor || evictor->name.empty() || !exists(SLUICE_EVICTOR, evictor->name)) return;
    const Node* cache = root.find("cache");
    if (cache && (!cache->table() || cache->table()->find("budget"))) return;
    mistakes.add(
        evictor->place,
        fmt::format("[{}] {} needs to know how much to keep: set cache.budget, such as \"20%\"", label, evictor->name));
  }

  void parse(const Table& root) {
    for (const Table::Entry& entry : root.entries) {
      if (mistakes.full()) return;
      const std::string& name = entry.key;
      if (name == "evictor" || name == "codec" || name == "layers") continue;
      const bool section = name != "sweep" && !keys_of(name).empty() && !find_key(name);
      if (section && is_table(entry.node, name)) {
        if (name == "backend") {
          config.backend = choice(entry.node, name, SLUICE_BACKEND, config.backend.name);
        } else {
          plain_section(name, *entry.node.table());
          if (name == "eval") config.eval.place = entry.node.place;
        }
      }
      if (!section && !known_key("", name, entry.node)) unknown_at_top(entry);
    }
    if (!root.find("backend")) check_module(config.backend, "backend", SLUICE_BACKEND);
    config.policy = policy(root.find("evictor"), root.find("codec"), "");
    if (const Node* list = root.find("layers")) layers(*list, root);
    needs_budget(config.policy.evictor, "evictor", root);
    for (const LayerRange& range : config.layers) needs_budget(range.policy.evictor, "layers.evictor", root);
    // In the pipeline itself "switched off" and "not there" are the same.
    for (auto* member : {&config.policy.evictor, &config.policy.key_codec, &config.policy.value_codec}) {
      if (*member && (*member)->name.empty()) member->reset();
    }
  }
};

}  // namespace

std::optional<Node> side_codec(const Node& codec, std::string_view side) {
  Node result = codec;
  result.table()->erase("key");
  result.table()->erase("value");
  const Node* own = codec.table()->find(side);
  if (!own || !own->table()) {
    // [codec.value] alone says nothing about keys.
    const bool other_only = result.table()->entries.empty() && !codec.table()->entries.empty();
    return other_only ? std::nullopt : std::optional(result);
  }
  return layered(&result, *own);
}

Node layered(const Node* pipeline, const Node& layers) {
  if (!pipeline || !pipeline->table() || !layers.table()) return layers;
  Table outer, inner;
  outer.set("module", {}, *pipeline);
  inner.set("module", {}, layers);
  merge(outer, inner);
  return *outer.find("module");
}

Config parse_table(const Table& table, const std::string& name, const std::filesystem::path& file,
                   const Registry* registry, Mistakes& mistakes) {
  Parser parser{registry, mistakes, defaults()};
  if (printable(name, std::string::npos) != name)
    mistakes.add({file.empty() ? "--set name" : file.string()},
                 fmt::format("a policy cannot be called \"{}\": tables and files have its name, so it is text without "
                             "control characters; name = \"...\" gives another",
                             printable(name)));
  parser.config.name = name;
  parser.config.file = file;
  parser.parse(table);
  return std::move(parser.config);
}

std::vector<Config> load_config(const std::filesystem::path& file, std::span<const std::string> overrides,
                                const Registry* registry) {
  Mistakes mistakes;
  std::vector<Config> configs;
  for (const Expanded& policy : expand_file(file, overrides, mistakes).policies) {
    configs.push_back(parse_table(policy.table, policy.name, file, registry, mistakes));
  }
  mistakes.raise();
  return configs;
}

Config default_config(std::span<const std::string> overrides, const Registry* registry) {
  Mistakes mistakes;
  const Expansion expansion = expand_overrides(overrides, mistakes);
  Config config = parse_table(expansion.policies[0].table, expansion.policies[0].name, {}, registry, mistakes);
  mistakes.raise();
  return config;
}

std::vector<std::filesystem::path> configured_plugin_path(const std::filesystem::path& file,
                                                          std::span<const std::string> overrides) {
  Mistakes ignored;  // load_config reports them with all others
  const Expansion expansion =
      file.empty() ? expand_overrides(overrides, ignored) : expand_file(file, overrides, ignored);
  Config config;
  for (const Expanded& policy : expansion.policies) {
    const Node* plugins = policy.table.find("plugins");
    const Node* path = plugins && plugins->table() ? plugins->table()->find("path") : nullptr;
    const Key& key = *find_key("plugins.path");
    if (!path || !check_value(key, *path).empty()) continue;
    Config one;
    key.set(one, *path);
    for (auto& folder : one.plugin_path) {
      if (std::find(config.plugin_path.begin(), config.plugin_path.end(), folder) == config.plugin_path.end()) {
        config.plugin_path.push_back(std::move(folder));
      }
    }
  }
  return config.plugin_path;
}

}  // namespace sluice
