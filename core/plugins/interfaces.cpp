// See interfaces.h: tables of what this host speaks, and the sentences for what it refuses.
#include "core/plugins/interfaces.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "core/base/text.h"
#include "sluice/backend.h"
#include "sluice/extensions.h"

namespace sluice {
namespace {

constexpr std::string_view kEvictorMembers = "create destroy signal state_size reset resize insert observe select";
constexpr std::string_view kCodecMembers =
    "create destroy plan bound scratch encode decode account retain? dot? accumulate+";
constexpr std::string_view kBackendMembers =
    "create destroy device weight_type buffer_create buffer_destroy commit weight_create weight_destroy weight_bytes "
    "queue_create queue_destroy queue_native wait write read fill embed gather rmsnorm matmul rope silu_mul add "
    "kv_store attention attn_scores attn_softmax attn_mix";

constexpr size_t words(std::string_view text) {
  size_t count = text.empty() ? 0 : 1;
  for (char c : text) count += c == ' ';
  return count;
}
static_assert(words(kEvictorMembers) * sizeof(void*) == sizeof(sluice_evictor));
static_assert(words(kCodecMembers) * sizeof(void*) == sizeof(sluice_codec));
static_assert(words(kBackendMembers) * sizeof(void*) == sizeof(sluice_backend));

constexpr Interface kInterfaces[] = {
    {"sluice.evictor", 1, SLUICE_EVICTOR_LAYOUT, kEvictorMembers},
    {"sluice.codec", 1, SLUICE_CODEC_LAYOUT, kCodecMembers},
    {"sluice.backend", 1, SLUICE_BACKEND_LAYOUT, kBackendMembers},
};

// An optional table: two 32-bit numbers, of which the first is its layout, then its functions, listed as those of an
// interface are.
struct KnownExtension {
  const char* id;
  uint32_t layout;
  std::string_view members;
};
constexpr KnownExtension kExtensions[] = {
    {SLUICE_CODEC_CUDA, SLUICE_CODEC_CUDA_LAYOUT, ""},
    {SLUICE_BACKEND_REPLAY, SLUICE_BACKEND_REPLAY_LAYOUT, "begin end run destroy"},
    {SLUICE_BACKEND_PRESENCE, SLUICE_BACKEND_PRESENCE_LAYOUT, "unavailable"},
    {SLUICE_EVICTOR_ROWS, SLUICE_EVICTOR_ROWS_LAYOUT, "inserted select"},
    {SLUICE_EVICTOR_WINDOW, SLUICE_EVICTOR_WINDOW_LAYOUT, "size observe"},
    {SLUICE_EVICTOR_BUDGET, SLUICE_EVICTOR_BUDGET_LAYOUT, "layer split? select+"},
};
constexpr const char* kEvictorExtensions[] = {SLUICE_EVICTOR_ROWS, SLUICE_EVICTOR_WINDOW, SLUICE_EVICTOR_BUDGET};
constexpr size_t kExtensionHead = 2 * sizeof(uint32_t);
static_assert(kExtensionHead + 2 * sizeof(void*) == sizeof(sluice_evictor_rows));
static_assert(kExtensionHead + 2 * sizeof(void*) == sizeof(sluice_evictor_window));
static_assert(kExtensionHead + 3 * sizeof(void*) == sizeof(sluice_evictor_budget));

// Names stand in TOML files as bare keys.
bool is_name(const char* text) {
  if (!text || !*text) return false;
  for (const char* c = text; *c; ++c) {
    if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_' && *c != '-') return false;
  }
  return true;
}

// Choices too: --set and messages show them without quotes.
bool is_word(std::string_view text) {
  constexpr std::string_view kBare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !text.empty() && text.find_first_not_of(kBare) == std::string_view::npos;
}

// `entry`: the first of the functions.
std::string refuse_members(const char* entry, std::string_view members) {
  if (members.empty()) return {};
  bool last = false;
  for (std::string_view member : split(members, ' ')) {
    void* function = nullptr;
    std::memcpy(&function, entry, sizeof function);
    entry += sizeof function;
    const bool present = function != nullptr;
    const char mark = member.back();
    if (mark == '?' || mark == '+') member.remove_suffix(1);
    if (mark == '+' && present != last) return fmt::format("only one of {} and its partner is given", member);
    if (mark != '+' && mark != '?' && !present) return fmt::format("its {} is NULL", member);
    last = present;
  }
  return {};
}

std::string refuse_extension(const KnownExtension& known, const void* table) {
  uint32_t layout = 0;
  std::memcpy(&layout, table, sizeof layout);
  if (layout != known.layout)
    return fmt::format("was built against other headers (layout 0x{:08X}, this host has 0x{:08X})", layout,
                       known.layout);
  std::string reason = refuse_members(static_cast<const char*>(table) + kExtensionHead, known.members);
  if (!reason.empty()) return "cannot be used: " + reason;
  if (std::string_view(known.id) != SLUICE_EVICTOR_BUDGET) return {};
  const auto& budget = *static_cast<const sluice_evictor_budget*>(table);
  if (budget.ragged > 1) return fmt::format("cannot be used: its ragged is {}, neither 0 nor 1", budget.ragged);
  if (budget.ragged != (budget.split ? 1u : 0u))
    return fmt::format("cannot be used: its ragged is {}, but its split and select are {}", budget.ragged,
                       budget.split ? "given" : "NULL");
  return {};
}

std::string refuse_number(const sluice_param& param) {
  const int64_t i = param.initial.i, low = param.min.i, high = param.max.i;
  switch (param.type) {
    case SLUICE_INT:
      if (low > high) return "has min above max";
      if (!param.required && (i < low || i > high)) return "has a default outside min and max";
      return {};
    case SLUICE_FLOAT:
      if (!(param.min.f <= param.max.f)) return "has min above max";
      if (!param.required && !(param.initial.f >= param.min.f && param.initial.f <= param.max.f)) {
        return "has a default outside min and max";
      }
      return {};
    case SLUICE_TOKENS:
      if (low < 0 || low > high || high > UINT32_MAX) return "has bounds that are no counts of tokens";
      if (param.required) return {};
      if (i < 0 ? i < -10000 : i < low || i > high) return "has a default outside min and max";
      return {};
    case SLUICE_BOOL:
      return i == 0 || i == 1 ? "" : "has a default that is neither 0 nor 1";
    case SLUICE_STRING:
    case SLUICE_PATH:
      return param.required || param.initial.s ? "" : "has NULL as its default";
    case SLUICE_CHOICE: {
      if (!param.choices || !*param.choices) return "is a choice without choices";
      const std::vector<std::string_view> choices = split(param.choices, '|');
      if (std::set<std::string_view>(choices.begin(), choices.end()).size() != choices.size()) {
        return "names a choice twice";
      }
      for (std::string_view choice : choices) {
        if (choice.empty()) return "has an empty choice";
        if (!is_word(choice))
          return fmt::format("has the choice \"{}\", which is not made of A-Z, a-z, 0-9, _ and -", printable(choice));
      }
      if (!param.required && (i < 0 || uint64_t(i) >= choices.size()))
        return "has a default that is none of its choices";
      return {};
    }
    default:
      return fmt::format("has the unknown type {}", param.type);
  }
}

std::string refuse_params(const sluice_module& module, std::string_view noun) {
  if (module.param_count > 256) return fmt::format("it lists {} parameters", module.param_count);
  if (module.param_count && !module.params) return "its list of parameters is NULL";
  std::set<std::string_view> seen;
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    if (!is_name(param.name)) return "a parameter's name is empty or not made of a-z, 0-9, _ and -";
    const std::string_view name = param.name;
    if (name == "name" || (noun == "codec" && (name == "key" || name == "value"))) {
      return fmt::format("its parameter \"{}\" has a name that the configuration needs itself", name);
    }
    if (!seen.insert(name).second) return fmt::format("it lists parameter \"{}\" twice", name);
    if (!param.doc || !*param.doc || std::strchr(param.doc, '\n')) {
      return fmt::format("its parameter \"{}\" is not explained in one line", name);
    }
    if (const std::string reason = refuse_number(param); !reason.empty()) {
      return fmt::format("its parameter \"{}\" {}", name, reason);
    }
  }
  return {};
}

}  // namespace

std::span<const Interface> known_interfaces() { return kInterfaces; }

InterfaceId parse_interface_id(std::string_view id) {
  const size_t slash = id.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return {};
  // Ids are compared as text, so a revision has one way to be written.
  if (id.substr(slash).starts_with("/0") && id.size() > slash + 2) return {};
  uint32_t revision = 0;
  const char* end = id.data() + id.size();
  const auto [rest, error] = std::from_chars(id.data() + slash + 1, end, revision);
  if (error != std::errc() || rest != end) return {};
  return {id.substr(0, slash), revision};
}

std::string_view interface_noun(std::string_view id) {
  const std::string_view name = parse_interface_id(id).name;
  return name.substr(name.find('.') + 1);
}

std::string module_title(const sluice_module& module) {
  return fmt::format("{} {}", interface_noun(module.interface_id), module.name);
}

std::string refuse_entry(const sluice_plugin* plugin) {
  if (!plugin) return "its sluice_plugin_entry() returned NULL";
  if (plugin->magic != SLUICE_MAGIC) {
    return fmt::format("its sluice_plugin_entry() does not return a sluice_plugin (magic 0x{:08X}, not 0x{:08X})",
                       plugin->magic, SLUICE_MAGIC);
  }
  if (plugin->abi != SLUICE_ABI) {
    return fmt::format("was built for plugin ABI {}, this host has ABI {}", plugin->abi, SLUICE_ABI);
  }
  if (plugin->size != sizeof(sluice_plugin)) {
    return fmt::format("its sluice_plugin has {} bytes, this host's {}", plugin->size, sizeof(sluice_plugin));
  }
  if (plugin->module_count && !plugin->modules) return "its list of modules is NULL";
  if (plugin->module_count > 4096) return fmt::format("it lists {} modules", plugin->module_count);
  return {};
}

Extension find_extension(const sluice_module& module, std::string_view id) {
  if (!module.extension) return {};
  for (const KnownExtension& known : kExtensions) {
    if (known.id != id) continue;
    const void* table = module.extension(known.id);
    if (!table) return {};
    const std::string reason = refuse_extension(known, table);
    if (reason.empty()) return {table, {}};
    return {nullptr, fmt::format("its {} {}", id, reason)};
  }
  return {};
}

std::span<const char* const> evictor_extensions() { return kEvictorExtensions; }

const uint32_t* evictor_extension_layout(std::string_view id) {
  if (std::find(std::begin(kEvictorExtensions), std::end(kEvictorExtensions), id) == std::end(kEvictorExtensions))
    return nullptr;
  return &std::find_if(std::begin(kExtensions), std::end(kExtensions), [&](const auto& e) {
            return e.id == id;
          })->layout;
}

Verdict judge_module(const sluice_module& module, std::span<const Interface> interfaces) {
  const auto refuse = [](std::string reason) { return Verdict{nullptr, std::move(reason)}; };
  if (!module.interface_id) return refuse("it names no interface");
  if (!is_name(module.name)) return refuse("its name is empty or not made of a-z, 0-9, _ and -");
  const InterfaceId id = parse_interface_id(module.interface_id);
  const Interface* same = nullptr;
  const Interface* newest = nullptr;
  for (const Interface& known : interfaces) {
    if (known.name != id.name) continue;
    if (known.revision == id.revision) same = &known;
    if (!newest || known.revision > newest->revision) newest = &known;
  }
  if (!newest)
    return refuse(fmt::format("provides {}, an interface this host does not know", printable(module.interface_id)));
  if (!same) {
    return {nullptr,
            fmt::format("provides {}, this host {} /{}", printable(module.interface_id),
                        id.revision > newest->revision ? "knows" : "needs", newest->revision),
            true};
  }
  if (module.layout != same->layout) {
    return refuse(fmt::format("was built against other headers (layout 0x{:08X}, this host has 0x{:08X})",
                              module.layout, same->layout));
  }
  if (!module.table) return refuse("its table is NULL");
  std::string reason = refuse_members(static_cast<const char*>(module.table), same->members);
  if (reason.empty() && (!module.summary || !module.version)) reason = "it gives no summary or no version";
  if (reason.empty()) reason = refuse_params(module, interface_noun(module.interface_id));
  if (id.name == parse_interface_id(SLUICE_EVICTOR).name)
    for (const char* extension : kEvictorExtensions)
      if (reason.empty()) reason = find_extension(module, extension).reason;
  if (!reason.empty()) return refuse(std::move(reason));

  // Step by step to the newest revision, each step an adapter.
  const sluice_module* current = &module;
  for (uint32_t revision = same->revision; revision < newest->revision; ++revision) {
    const Interface* step = nullptr;
    for (const Interface& known : interfaces) {
      if (known.name == id.name && known.revision == revision) step = &known;
    }
    current = step && step->adapt ? step->adapt(*current) : nullptr;
    if (!current)
      return {nullptr,
              fmt::format("provides {}, this host needs /{}", printable(module.interface_id), newest->revision), true};
  }
  return {current, {}};
}

}  // namespace sluice
