// See describe.h. Reads the published structs only; calls nothing but a module's extension() and what asks for a
// device.
#include "core/plugins/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <tuple>

#include "core/base/text.h"
#include "core/plugins/interfaces.h"
#include "sluice/extensions.h"

namespace sluice {
namespace {

std::string number(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string integer_range(int64_t low, int64_t high) {
  const bool open_low = low == std::numeric_limits<int64_t>::min(),
             open_high = high == std::numeric_limits<int64_t>::max();
  if (open_low && open_high) return "";
  if (open_low) return fmt::format(", at most {}", high);
  if (open_high || high == UINT32_MAX || high == INT32_MAX) return fmt::format(", at least {}", low);
  return fmt::format(", {} to {}", low, high);
}

std::string float_range(double low, double high) {
  const bool open_low = low <= -std::numeric_limits<double>::max(),
             open_high = high >= std::numeric_limits<double>::max();
  if (open_low && open_high) return "";
  if (open_low) return fmt::format(", at most {}", number(high));
  if (open_high) return fmt::format(", at least {}", number(low));
  return fmt::format(", {} to {}", number(low), number(high));
}

std::span<const sluice_param> params(const sluice_module& module) { return {module.params, module.param_count}; }

// What a plugin says of itself, safe to print.
std::string said(const char* text) { return printable(text, 4096); }

// The same as a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : printable(text, 4096)) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::vector<std::string> choices_of(const sluice_param& param) {
  if (!param.choices || !*param.choices) return {};
  const auto choices = split(param.choices, '|');
  return {choices.begin(), choices.end()};
}

std::optional<int64_t> choice_number(std::string_view choice) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(choice.data(), choice.data() + choice.size(), number);
  if (error != std::errc() || fmt::format("{}", number) != choice) return std::nullopt;
  return number;
}

std::string describe_tokens(int64_t amount) {
  if (amount >= 0) return fmt::format("{}", amount);
  const int64_t whole = -amount / 100, hundredths = -amount % 100;
  if (hundredths == 0) return fmt::format("{}%", whole);
  return hundredths % 10 ? fmt::format("{}.{:02}%", whole, hundredths) : fmt::format("{}.{}%", whole, hundredths / 10);
}

std::string describe_type(const sluice_param& param) {
  switch (param.type) {
    case SLUICE_INT:
      return "integer" + integer_range(param.min.i, param.max.i);
    case SLUICE_FLOAT:
      return "number" + float_range(param.min.f, param.max.f);
    case SLUICE_BOOL:
      return "true or false";
    case SLUICE_STRING:
      return "text";
    case SLUICE_PATH:
      return "a path";
    case SLUICE_CHOICE:
      return "one of " + join(choices_of(param));
    default:
      return "tokens" + integer_range(param.min.i, param.max.i) + ", or a share such as \"50%\"";
  }
}

std::string describe_default(const sluice_param& param) {
  if (param.required) return "required";
  switch (param.type) {
    case SLUICE_INT:
      return fmt::format("{}", param.initial.i);
    case SLUICE_FLOAT:
      return number(param.initial.f);
    case SLUICE_BOOL:
      return param.initial.i ? "true" : "false";
    case SLUICE_STRING:
    case SLUICE_PATH:
      return fmt::format("\"{}\"", param.initial.s);
    case SLUICE_CHOICE: {
      const std::string choice = choices_of(param)[size_t(param.initial.i)];
      return choice_number(choice) ? choice : fmt::format("\"{}\"", choice);
    }
    default:
      return param.initial.i < 0 ? fmt::format("\"{}\"", describe_tokens(param.initial.i))
                                 : describe_tokens(param.initial.i);
  }
}

std::string missing_device(const sluice_module& module) {
  const Extension presence = find_extension(module, SLUICE_BACKEND_PRESENCE);
  if (!presence.table) return "";
  const InVerb in(module.name, "unavailable");
  const char* const reason = static_cast<const sluice_backend_presence*>(presence.table)->unavailable();
  return reason ? reason : "";
}

std::string describe_capabilities(const sluice_module& module) {
  const auto yes = [](bool there) { return std::string(there ? "yes" : "no"); };
  const auto extension = [&](const char* id) {
    const Extension found = find_extension(module, id);
    return found.reason.empty() ? yes(found.table) : "no (" + found.reason + ")";
  };
  const std::string_view id = module.interface_id;
  if (id == SLUICE_CODEC) {
    const auto& codec = *static_cast<const sluice_codec*>(module.table);
    return fmt::format("retain: {}, dot/accumulate: {}, CUDA: {}", yes(codec.retain), yes(codec.dot),
                       extension(SLUICE_CODEC_CUDA));
  }
  if (id == SLUICE_BACKEND) return fmt::format("replay: {}", extension(SLUICE_BACKEND_REPLAY));
  if (id == SLUICE_EVICTOR) {
    std::vector<std::string> offered;
    for (const char* known : evictor_extensions()) {
      const void* table = find_extension(module, known).table;
      if (!table) continue;
      const bool ragged =
          std::string_view(known) == SLUICE_EVICTOR_BUDGET && static_cast<const sluice_evictor_budget*>(table)->ragged;
      offered.push_back(known + std::string(ragged ? " (per head)" : ""));
    }
    return offered.empty() ? "" : "extensions: " + join(offered);
  }
  return "";
}

std::string describe_text(const Module& entry) {
  const sluice_module& module = *entry.module;
  std::string text =
      fmt::format("{} ({} {})\n{}\n", module.name, module.interface_id, said(module.version), said(module.summary));
  if (module.reference) text += fmt::format("reference: {}\n", said(module.reference));
  if (!entry.library.empty()) text += fmt::format("library: {}\n", entry.library.string());
  if (const std::string can = describe_capabilities(module); !can.empty()) text += fmt::format("{}\n", can);
  if (module.param_count == 0) return text + "\nno parameters\n";
  text += "\nparameters:\n";
  const auto initial = [](const sluice_param& param) { return printable(describe_default(param), 4096); };
  size_t names = 0, types = 0;
  for (const sluice_param& param : params(module)) {
    names = std::max(names, std::string_view(param.name).size() + initial(param).size() + 3);
    types = std::max(types, describe_type(param).size());
  }
  for (const sluice_param& param : params(module)) {
    text += fmt::format("  {:<{}}  {:<{}}  {}\n", fmt::format("{} = {}", param.name, initial(param)), names,
                        describe_type(param), types, said(param.doc));
  }
  return text;
}

std::string describe_markdown(const sluice_module& module) {
  std::string text =
      fmt::format("### {} `{}`\n\n{}.\n", interface_noun(module.interface_id), module.name, said(module.summary));
  if (text.ends_with("..\n")) text.erase(text.size() - 2, 1);
  if (module.reference) text += fmt::format("\nReference: {}\n", said(module.reference));
  if (const std::string can = describe_capabilities(module); !can.empty())
    text += fmt::format("\nCapabilities: {}\n", can);
  if (module.param_count == 0) return text + "\nNo parameters.\n";
  text += "\n| parameter | default | type | meaning |\n|---|---|---|---|\n";
  for (const sluice_param& param : params(module)) {
    text += fmt::format("| `{}` | `{}` | {} | {} |\n", param.name, cell(describe_default(param)),
                        cell(describe_type(param)), cell(param.doc));
  }
  return text;
}

std::string policies_markdown(std::span<const Module> modules) {
  std::vector<const sluice_module*> policies;
  for (const Module& module : modules)
    if (module.module && (module.interface_id == SLUICE_EVICTOR || module.interface_id == SLUICE_CODEC))
      policies.push_back(module.module);
  std::sort(policies.begin(), policies.end(), [](const sluice_module* a, const sluice_module* b) {
    return std::tuple(std::string_view(a->interface_id), std::string_view(a->name)) <
           std::tuple(std::string_view(b->interface_id), std::string_view(b->name));
  });
  std::string text =
      "# Policies\n\nWhat `sluice plugin describe --markdown` says of the plugins that it finds. The rule of a policy, "
      "the bytes it costs and\nwhen it breaks stand on its own page, `NAME.md`.\n\n"
      "| policy | kind | what it does | reference |\n|---|---|---|---|\n";
  for (const sluice_module* policy : policies) {
    const std::string_view kind = interface_noun(policy->interface_id);
    text += fmt::format("| [`{0}`](#{1}-{0}) | {1} | {2} | {3} |\n", policy->name, kind, cell(policy->summary),
                        policy->reference ? cell(policy->reference) : "");
  }
  for (const sluice_module* policy : policies) text += "\n" + describe_markdown(*policy);
  return text;
}

}  // namespace sluice
