// See expand.h: `extends`, [sweep] and --set, as operations on tables.
#include "core/config/expand.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"

namespace sluice {
namespace {

constexpr size_t kMostPolicies = 10000;
constexpr size_t kMostBytes = size_t(64) << 20;  // of all policies together

// About what a value takes: a sweep copies it for every policy.
size_t bytes_of(const Node& node);
size_t bytes_of(const Table& table) {
  size_t bytes = 0;
  for (const Table::Entry& entry : table.entries) bytes += sizeof entry + entry.key.size() + bytes_of(entry.node);
  return bytes;
}
size_t bytes_of(const Node& node) {
  if (const Table* table = node.table()) return bytes_of(*table);
  size_t bytes = node.text() ? node.text()->size() : 0;
  if (const auto* list = node.array())
    for (const Node& element : *list) bytes += sizeof element + bytes_of(element);
  return bytes;
}

Table command_table(std::span<const std::string> overrides, Mistakes& mistakes) {
  Table all;
  for (const std::string& text : overrides) merge(all, read_override(text, mistakes));
  return all;
}

// Keys such as "cache.budget" = ... become tables.
Table with_dots_expanded(const Table& table) {
  Table result;
  for (const Table::Entry& entry : table.entries) {
    if (entry.key.find('.') == std::string::npos) {
      Table one;
      one.set(entry.key, entry.key_place, entry.node);
      merge(result, one);
    } else {
      set_path(result, entry.key, entry.node);
    }
  }
  return result;
}

// A key of [sweep] and the values it goes through.
struct Axis {
  std::string path, label;  // "cache.budget", "budget"
  std::vector<Node> values;
};

void find_axes(const Table& table, const std::string& prefix, std::vector<Axis>& axes, Mistakes& mistakes) {
  for (const Table::Entry& entry : table.entries) {
    if (prefix.empty() && entry.key == "variant") continue;
    const std::string path = prefix + entry.key;
    if (const Table* inner = entry.node.table()) {
      find_axes(*inner, path + ".", axes, mistakes);
      continue;
    }
    const auto* list = entry.node.array();
    const bool usable =
        list && !list->empty() && std::all_of(list->begin(), list->end(), [](const Node& n) { return n.scalar(); });
    if (!usable) {
      mistakes.add(entry.node.place,
                   fmt::format("[sweep] {} takes an array of values to go through, not {}", printable(path),
                               list && list->empty() ? "an empty one" : found(entry.node)));
      continue;
    }
    axes.push_back({path, path.substr(path.rfind('.') + 1), *list});
  }
}

// Two axes with one last word are called by their whole paths.
void disambiguate(std::vector<Axis>& axes) {
  for (Axis& axis : axes) {
    const auto same = [&](const Axis& other) { return &other != &axis && other.path.ends_with("." + axis.label); };
    if (std::any_of(axes.begin(), axes.end(), same)) axis.label = axis.path;
  }
}

struct Variant {
  std::string name;
  Place place;
  Table base, keys;
};

std::string file_name_of(const Node& extends) {
  const Node* last = extends.array() && !extends.array()->empty() ? &extends.array()->back() : &extends;
  return last->text() ? std::filesystem::path(*last->text()).stem().string() : "";
}

Variant read_variant(const Table& table, const Place& place, const FileLayers& layers, Mistakes& mistakes) {
  Variant variant{"", place, layers.base, table};
  if (const Node* extends = table.find("extends")) {
    variant.base = read_extended(*extends, mistakes);
    if (variant.base.find("sweep")) {
      mistakes.add(extends->place, "[[sweep.variant]] extends a file with a [sweep] of its own");
      variant.base.erase("sweep");
    }
    variant.name = file_name_of(*extends);
    variant.keys.erase("extends");
  }
  if (const Node* name = table.find("name")) {
    if (name->text() && !name->text()->empty()) {
      variant.name = *name->text();
    } else {
      mistakes.add(name->place, fmt::format("[[sweep.variant]] name takes a string, not {}", found(*name)));
    }
    variant.keys.erase("name");
  } else if (variant.name.empty()) {
    mistakes.add(place, "[[sweep.variant]] has neither a name nor a file it extends");
  }
  variant.keys = with_dots_expanded(variant.keys);
  return variant;
}

std::string value_label(const Node& node) { return node.text() ? *node.text() : write_value(node); }

std::vector<Expanded> sweep(const FileLayers& layers, const Table& sweep_table, const Table& command,
                            const std::string& file_name, Mistakes& mistakes) {
  std::vector<Axis> axes;
  find_axes(sweep_table, "", axes, mistakes);
  disambiguate(axes);

  std::vector<Variant> variants;
  if (const Node* list = sweep_table.find("variant")) {
    const auto* nodes = list->array();
    if (!nodes) mistakes.add(list->place, fmt::format("[[sweep.variant]] is an array of tables, not {}", found(*list)));
    for (const Node& node : nodes ? *nodes : std::vector<Node>{}) {
      if (node.table()) {
        variants.push_back(read_variant(*node.table(), node.place, layers, mistakes));
      } else {
        mistakes.add(node.place, fmt::format("[[sweep.variant]] is a table, not {}", found(node)));
      }
    }
  } else {
    variants.push_back({file_name, {}, layers.base, {}});
  }

  size_t combinations = 1;
  for (const Axis& axis : axes) {
    combinations =
        axis.values.size() > kMostPolicies / combinations ? kMostPolicies + 1 : combinations * axis.values.size();
    if (combinations > kMostPolicies) break;
  }
  if (combinations > kMostPolicies || combinations * variants.size() > kMostPolicies) {
    mistakes.add(axes.empty() ? Place{} : axes.front().values.front().place,
                 fmt::format("[sweep] gives more than {} policies", kMostPolicies));
    return {};
  }

  std::vector<Expanded> policies;
  size_t bytes = 0;
  for (const Variant& variant : variants) {
    for (size_t combination = 0; combination < combinations; ++combination) {
      // The first axis turns slowest.
      std::string name = variant.name;
      Table point;
      size_t rest = combination, block = combinations;
      for (const Axis& axis : axes) {
        block /= axis.values.size();
        const Node& value = axis.values[rest / block];
        rest %= block;
        set_path(point, axis.path, value);
        name += fmt::format(" {}={}", axis.label, value_label(value));
      }
      // What a variant extends stands in for what the file extends: the file's own keys win over both.
      Table table = variant.base;
      merge(table, layers.own);
      merge(table, variant.keys);
      merge(table, point);
      merge(table, command);
      table.erase("sweep");
      table.erase("name");
      bytes += name.size() + bytes_of(table);
      if (bytes > kMostBytes) {
        mistakes.add(axes.empty() ? variant.place : axes.front().values.front().place,
                     fmt::format("[sweep] gives policies of more than {} MiB together", kMostBytes >> 20));
        return {};
      }
      for (const Expanded& other : policies) {
        if (other.name == name)
          mistakes.add(variant.place, fmt::format("two policies of the sweep are called \"{}\"", printable(name)));
      }
      policies.push_back({std::move(name), std::move(table)});
    }
  }
  return policies;
}

}  // namespace

Expansion expand_file(const std::filesystem::path& file, std::span<const std::string> overrides, Mistakes& mistakes) {
  FileLayers layers = read_layers(file, mistakes);
  const Table command = command_table(overrides, mistakes);
  Table merged = layers.merged();
  merge(merged, command);

  std::string name = file.stem().string();
  if (const Node* given = merged.find("name")) {
    if (given->text() && !given->text()->empty()) {
      name = *given->text();
    } else {
      mistakes.add(given->place, fmt::format("name takes a string, not {}", found(*given)));
    }
  }
  Expansion expansion;
  const Node* sweep_node = merged.find("sweep");
  if (!sweep_node) {
    merged.erase("name");
    expansion.policies.push_back({name, std::move(merged)});
    return expansion;
  }
  expansion.swept = true;
  if (!sweep_node->table()) {
    mistakes.add(sweep_node->place, fmt::format("[sweep] is a table, not {}", found(*sweep_node)));
    return expansion;
  }
  layers.base.erase("sweep");
  expansion.policies = sweep(layers, *sweep_node->table(), command, name, mistakes);
  return expansion;
}

Expansion expand_overrides(std::span<const std::string> overrides, Mistakes& mistakes) {
  Table table = command_table(overrides, mistakes);
  std::string name = "default";
  for (const char* key : {"extends", "sweep"}) {
    if (const Node* node = table.find(key)) mistakes.add(node->place, fmt::format("{} works in files only", key));
    table.erase(key);
  }
  if (const Node* given = table.find("name"); given && given->text() && !given->text()->empty()) name = *given->text();
  table.erase("name");
  return {false, {{std::move(name), std::move(table)}}};
}

}  // namespace sluice
