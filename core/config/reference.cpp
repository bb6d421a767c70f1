// The configuration explained: as Markdown for people (docs/configuration.md) and as JSON schema for editors. Both
// come from the schema's table and the modules' own lists.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/text.h"
#include "core/config/params.h"
#include "core/config/schema.h"
#include "core/plugins/describe.h"
#include "core/plugins/interfaces.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

std::string_view section_of(const Key& key) {
  const size_t dot = key.path.find('.');
  return key.path.substr(0, dot == key.path.npos ? 0 : dot);
}

std::string_view name_of(const Key& key) {
  const std::string_view section = section_of(key);
  return section.empty() ? key.path : key.path.substr(section.size() + 1);
}

// Usable modules of an interface by name.
std::vector<const sluice_module*> modules_of(const Registry* registry, std::string_view interface_id) {
  std::vector<const sluice_module*> list;
  if (!registry) return list;
  for (const Module& module : registry->modules()) {
    if (module.module && module.interface_id == interface_id) list.push_back(module.module);
  }
  std::sort(list.begin(), list.end(), [](const auto* a, const auto* b) { return std::string_view(a->name) < b->name; });
  return list;
}

constexpr std::pair<std::string_view, std::string_view> kModuleSections[] = {
    {"backend", SLUICE_BACKEND}, {"evictor", SLUICE_EVICTOR}, {"codec", SLUICE_CODEC}};

std::string_view interface_of(std::string_view section) {
  for (const auto& [name, id] : kModuleSections) {
    if (name == section) return id;
  }
  return "";
}

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Written by `sluice config schema --markdown`; change core/config/schema.cpp or a module's parameters instead. -->

A pipeline is a TOML file. Everything has a default but the model; what is wrong is reported all at once, with file,
line and column. `sluice config show FILE` prints what a file comes to and where each value stands.

- **Building on other files**: `extends = "base.toml"` (or an array) is merged table by table, later files and the
  file's own keys win. A table that names another module starts afresh: nothing of the earlier module's keys stays.
- **Command line**: `--set codec.bits=4` sets any key and wins over files. The value is TOML; what is no TOML value is
  text, so `--set cache.budget=20%` needs no quotes.
- **Paths** are relative to the file that contains them, with `--set` to the working directory.
- **Layers**: `[[layers]]` with `range = "0-1"` and its own `[layers.evictor]` or `[layers.codec]` changes the policy of
  some layers; keys it does not name are those of the pipeline, `name = "none"` switches a module off.
- **Sides**: `[codec.key]` and `[codec.value]` do the same for K and V. One of them without a `[codec]` leaves the other
  side in F16.
- **Sweeps**: a `[sweep]` makes several policies of one file. `"cache.budget" = ["20%", "50%"]` goes through values, and
  several such keys through all combinations. `[[sweep.variant]]` gives a named row with keys of its own or `extends`;
  what a variant extends takes the place of what the file extends, so the file's own keys win over it, and the
  variant's over both.
)";

std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

ordered_json initial_json(std::string_view toml) {
  return toml.empty() ? ordered_json() : ordered_json::parse(toml);  // defaults are plain numbers and strings
}

ordered_json key_json(const Key& key) {
  ordered_json out;
  const auto bounds = [&] {
    const bool integer = key.type == KeyType::kInteger;
    if (std::isfinite(key.low)) {
      const char* name = key.above_low ? "exclusiveMinimum" : "minimum";
      if (integer)
        out[name] = int64_t(key.low);
      else
        out[name] = key.low;
    }
    if (std::isfinite(key.high)) {
      if (integer)
        out["maximum"] = int64_t(key.high);
      else
        out["maximum"] = key.high;
    }
  };
  switch (key.type) {
    case KeyType::kBool:
      out["type"] = "boolean";
      break;
    case KeyType::kInteger:
      out["type"] = "integer", bounds();
      break;
    case KeyType::kNumber:
      out["type"] = "number", bounds();
      break;
    case KeyType::kText:
    case KeyType::kPath:
      out["type"] = "string";
      break;
    case KeyType::kChoice: {
      const std::string choices(key.choices);
      sluice_param param{};
      param.choices = choices.c_str();
      out["enum"] = choices_of(param);
      break;
    }
    case KeyType::kTexts:
    case KeyType::kPaths:
      out["oneOf"] = {{{"type", "string"}}, {{"type", "array"}, {"items", {{"type", "string"}}}}};
      break;
    case KeyType::kBudget:
      out["oneOf"] = {{{"type", "integer"}, {"minimum", 1}},
                      {{"type", "string"}, {"pattern", "^[0-9.]+ ?(%|B|[kKMGT]B|[KMGT]iB)$"}}};
      break;
  }
  if (key.path == "layers.range") out = {{"type", {"string", "integer"}}};
  if (!key.initial.empty()) out["default"] = initial_json(key.initial);
  out["description"] = key.doc;
  return out;
}

ordered_json param_json(const sluice_param& param) {
  ordered_json out;
  switch (param.type) {
    case SLUICE_INT:
      out = {{"type", "integer"}, {"minimum", param.min.i}, {"maximum", param.max.i}};
      break;
    case SLUICE_FLOAT:
      out = {{"type", "number"}};
      if (std::isfinite(param.min.f)) out["minimum"] = param.min.f;
      if (std::isfinite(param.max.f)) out["maximum"] = param.max.f;
      break;
    case SLUICE_BOOL:
      out["type"] = "boolean";
      break;
    case SLUICE_STRING:
    case SLUICE_PATH:
      out["type"] = "string";
      break;
    case SLUICE_CHOICE:
      for (const std::string& choice : choices_of(param)) {
        out["enum"].push_back(choice);
        if (const auto number = choice_number(choice)) out["enum"].push_back(*number);
      }
      break;
    default:
      out["oneOf"] = {{{"type", "integer"}, {"minimum", param.min.i}, {"maximum", param.max.i}},
                      {{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]{1,2})?%$"}}};
  }
  if (!param.required) out["default"] = value_json(param, param.initial);
  out["description"] = param.doc;
  return out;
}

ordered_json section_json(const Section& section, const Registry* registry) {
  ordered_json out = {{"type", "object"}, {"description", section.doc}};
  ordered_json& properties = out["properties"] = ordered_json::object();
  for (const Key& key : schema_keys()) {
    if (section_of(key) == section.name) properties[std::string(name_of(key))] = key_json(key);
  }
  const auto modules = modules_of(registry, interface_of(section.name));
  if (!section.module || modules.empty()) {
    out["additionalProperties"] = section.module;
    return out;
  }
  // What else a table takes depends on its name.
  ordered_json& rules = out["allOf"] = ordered_json::array();
  for (const sluice_module* module : modules) {
    ordered_json params = ordered_json::object();
    for (const sluice_param& param : std::span(module->params, module->param_count))
      params[param.name] = param_json(param);
    rules.push_back({{"if", {{"properties", {{"name", {{"const", module->name}}}}}, {"required", {"name"}}}},
                     {"then", {{"description", module->summary}, {"properties", params}}}});
  }
  return out;
}

}  // namespace

std::string config_reference_markdown(const Registry* registry) {
  std::string text(kIntroduction);
  for (const Section& section : schema_sections()) {
    text += section.name.empty() ? fmt::format("\n## Top level\n\n{}\n", section.doc)
                                 : fmt::format("\n## `[{}]`\n\n{}\n", section.name, section.doc);
    std::string rows;
    for (const Key& key : schema_keys()) {
      if (section_of(key) != section.name) continue;
      const std::string initial = key.initial.empty() ? "" : fmt::format("`{}`", key.initial);
      rows +=
          fmt::format("| `{}` | {} | {} | {} |\n", name_of(key), initial, cell(describe_key_type(key)), cell(key.doc));
    }
    if (!rows.empty()) text += "\n| key | default | takes | meaning |\n|---|---|---|---|\n" + rows;
    for (const sluice_module* module : modules_of(registry, interface_of(section.name))) {
      text += "\n" + describe_markdown(*module);
    }
  }
  return text;
}

std::string config_schema_json(const Registry* registry) {
  ordered_json root = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                       {"title", "Sluice configuration"},
                       {"type", "object"},
                       {"additionalProperties", false}};
  ordered_json& properties = root["properties"];
  for (const Section& section : schema_sections()) {
    if (section.name.empty()) {
      for (const Key& key : schema_keys()) {
        if (section_of(key).empty()) properties[std::string(key.path)] = key_json(key);
      }
      continue;
    }
    ordered_json table = section_json(section, registry);
    if (section.name == "sweep") table["additionalProperties"] = true;
    if (section.name == "layers") {
      table["properties"]["evictor"] = {{"$ref", "#/properties/evictor"}};
      table["properties"]["codec"] = {{"$ref", "#/properties/codec"}};
      table = {{"type", "array"}, {"items", std::move(table)}};
    }
    if (section.name == "codec") {
      table["properties"]["key"] = table["properties"]["value"] = {{"$ref", "#/properties/codec"}};
    }
    properties[std::string(section.name)] = std::move(table);
  }
  return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace sluice
