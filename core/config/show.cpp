// `sluice config show`: everything a configuration comes to, defaults included, as TOML that can be loaded
// again and tells for each value where it stands.
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/config/parse.h"
#include "core/config/schema.h"
#include "core/plugins/describe.h"

namespace sluice {
namespace {

constexpr const char* kDefault = "default";

Node default_node(std::string_view toml) {
  Mistakes none;
  Node node = *read_override(fmt::format("value={}", toml), none).find("value");
  node.place = {kDefault, {}};
  return node;
}

// Relative paths are written out, so that the result means the same wherever it is saved.
void absolute_paths(Node& node) {
  if (auto* list = std::get_if<std::vector<Node>>(&node.value)) {
    for (Node& item : *list) absolute_paths(item);
  } else if (const std::string* text = node.text()) {
    node.value = std::filesystem::absolute(resolve_path(*text, node.place)).lexically_normal().string();
  }
}

void absolute_model(Node& node) {
  std::error_code error;
  if (node.text() && std::filesystem::exists(resolve_path(*node.text(), node.place), error)) absolute_paths(node);
}

void absolute_params(Table& table, const sluice_module& module) {
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    Node* node = table.find(param.name);
    if (node && param.type == SLUICE_PATH) absolute_paths(*node);
  }
}

// The module's own defaults for what the table does not say.
void add_module_defaults(Table& table, const sluice_module& module, const std::string& note) {
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    if (table.find(param.name) || param.required) continue;
    Node node = default_node(describe_default(param));
    node.place.text = note;
    table.set(param.name, {}, std::move(node));
  }
}

void complete_module(Table& root, const char* section, const char* interface_id, const Registry* registry) {
  Node* node = root.find(section);
  if (!node || !node->table() || !registry) return;
  const Node* name = node->table()->find("name");
  if (!name || !name->text() || name->text()->empty() || *name->text() == "none") return;
  try {
    const sluice_module& module = registry->find(interface_id, *name->text());
    absolute_params(*node->table(), module);
    add_module_defaults(*node->table(), module, fmt::format("default of {}", module.name));
  } catch (const Error&) {  // a module that is not there has no defaults to show
  }
}

// In the schema's order: sections, then within each what the schema knows, then the module's keys.
Table complete(const Table& given, const Registry* registry) {
  Table all;
  for (const Section& section : schema_sections()) {
    if (section.name == "" || section.name == "sweep") continue;
    const Node* have = given.find(section.name);
    Node node = have ? *have : Node{Table{}, {}};
    if (Table* table = node.table()) {
      Table ordered;
      for (const Key& key : schema_keys()) {
        if (!key.path.starts_with(fmt::format("{}.", section.name))) continue;
        const std::string name(key.path.substr(section.name.size() + 1));
        if (const Node* value = table->find(name)) {
          ordered.set(name, {}, *value);
        } else if (!key.initial.empty()) {
          ordered.set(name, {}, default_node(key.initial));
        }
        Node* value = ordered.find(name);
        if (value && (key.type == KeyType::kPath || key.type == KeyType::kPaths)) absolute_paths(*value);
        if (value && key.path == "model.path") absolute_model(*value);
      }
      for (const Table::Entry& entry : table->entries) {
        if (!ordered.find(entry.key)) ordered.set(entry.key, {}, entry.node);
      }
      if (ordered.entries.empty()) continue;
      *table = std::move(ordered);
    }
    all.set(std::string(section.name), {}, std::move(node));
  }
  complete_module(all, "backend", SLUICE_BACKEND, registry);
  complete_module(all, "evictor", SLUICE_EVICTOR, registry);
  complete_module(all, "codec", SLUICE_CODEC, registry);
  return all;
}

Node text_node(std::string text) { return {std::move(text), {}}; }

}  // namespace

std::string show_config(const std::filesystem::path& file, std::span<const std::string> overrides,
                        const Registry* registry) {
  Mistakes mistakes;
  const Expansion expansion =
      file.empty() ? expand_overrides(overrides, mistakes) : expand_file(file, overrides, mistakes);
  for (const Expanded& policy : expansion.policies) parse_table(policy.table, policy.name, file, registry, mistakes);
  mistakes.raise();

  Table root;
  if (!expansion.swept) {
    root.set("name", {}, text_node(expansion.policies[0].name));
    for (Table::Entry& entry : complete(expansion.policies[0].table, registry).entries) {
      root.entries.push_back(std::move(entry));
    }
    return write_table(root, true);
  }
  std::vector<Node> variants;
  for (const Expanded& policy : expansion.policies) {
    Table variant;
    variant.set("name", {}, text_node(policy.name));
    for (Table::Entry& entry : complete(policy.table, registry).entries) variant.entries.push_back(std::move(entry));
    variants.push_back({std::move(variant), {}});
  }
  Table sweep;
  sweep.set("variant", {}, Node{std::move(variants), {}});
  root.set("name", {}, text_node(file.stem().string()));
  root.set("sweep", {}, Node{std::move(sweep), {}});
  return write_table(root, true);
}

}  // namespace sluice
