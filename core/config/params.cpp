// See params.h and config.h: names, types and ranges of a module's parameters, and the text that tells two
// configured modules apart.
#include "core/config/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.h"
#include "core/config/schema.h"
#include "core/plugins/describe.h"
#include "core/plugins/interfaces.h"

namespace sluice {
namespace {

std::span<const sluice_param> params(const sluice_module& module) { return {module.params, module.param_count}; }

std::string found_scalar(const Scalar& value) {
  return std::visit([](const auto& v) { return found(Node{v, {}}); }, value);
}

std::optional<int64_t> choice_index(const sluice_param& param, const Scalar& value) {
  std::string wanted;
  if (const std::string* text = std::get_if<std::string>(&value)) wanted = *text;
  if (const int64_t* integer = std::get_if<int64_t>(&value)) wanted = fmt::format("{}", *integer);
  const std::vector<std::string> choices = choices_of(param);
  for (size_t i = 0; i < choices.size(); ++i) {
    if (!wanted.empty() && choices[i] == wanted) return int64_t(i);
  }
  return std::nullopt;
}

// The value as the module wants it; empty if it does not fit.
std::optional<sluice_value> convert(const sluice_param& param, const Scalar& value) {
  const int64_t* integer = std::get_if<int64_t>(&value);
  const std::string* text = std::get_if<std::string>(&value);
  sluice_value result{};
  switch (param.type) {
    case SLUICE_INT:
      if (!integer || *integer < param.min.i || *integer > param.max.i) return std::nullopt;
      result.i = *integer;
      return result;
    case SLUICE_FLOAT: {
      const double* real = std::get_if<double>(&value);
      if (!integer && !real) return std::nullopt;
      result.f = integer ? double(*integer) : *real;
      if (!(result.f >= param.min.f && result.f <= param.max.f)) return std::nullopt;
      return result;
    }
    case SLUICE_BOOL:
      if (!std::holds_alternative<bool>(value)) return std::nullopt;
      result.i = std::get<bool>(value);
      return result;
    case SLUICE_STRING:
    case SLUICE_PATH:
      if (!text || text->find('\0') != std::string::npos) return std::nullopt;
      result.s = text->c_str();
      return result;
    case SLUICE_CHOICE: {
      const auto index = choice_index(param, value);
      if (!index) return std::nullopt;
      result.i = *index;
      return result;
    }
    case SLUICE_TOKENS: {
      if (integer && *integer >= param.min.i && *integer <= param.max.i) {
        result.i = *integer;
        return result;
      }
      const auto share = text ? parse_share(*text) : std::nullopt;
      if (!share) return std::nullopt;
      result.i = -*share;
      return result;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string value_text(const sluice_param& param, const sluice_value& value) {
  switch (param.type) {
    case SLUICE_FLOAT:
      return fmt::format("{}", value.f);
    case SLUICE_BOOL:
      return value.i ? "true" : "false";
    case SLUICE_STRING:
    case SLUICE_PATH:
      return fmt::format("\"{}\"", value.s ? value.s : "");
    case SLUICE_CHOICE:
      return choices_of(param)[size_t(value.i)];
    case SLUICE_TOKENS:
      return describe_tokens(value.i);
    default:
      return fmt::format("{}", value.i);
  }
}

void absolute_params(const sluice_module& module, ModuleChoice& choice) {
  for (const sluice_param& param : params(module)) {
    const auto setting = choice.params.find(param.name);
    if (param.type != SLUICE_PATH || setting == choice.params.end()) continue;
    if (auto* path = std::get_if<std::string>(&setting->second.value); path && !path->empty())
      *path = std::filesystem::absolute(resolve_path(*path, setting->second.place)).lexically_normal().string();
  }
}

std::vector<sluice_value> check_params(const sluice_module& module, const ModuleChoice& choice, std::string_view label,
                                       Mistakes& mistakes) {
  std::vector<std::string> names;
  for (const sluice_param& param : params(module)) names.emplace_back(param.name);
  for (const auto& [name, setting] : choice.params) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    mistakes.add(setting.key_place.text.empty() ? setting.place : setting.key_place,
                 fmt::format("[{}] has no \"{}\"; {} takes{}{}", label, printable(name), module.name,
                             names.empty() ? " no parameters" : ": " + join(names), did_you_mean(name, names)));
  }
  std::vector<sluice_value> values;
  for (const sluice_param& param : params(module)) {
    const auto setting = choice.params.find(param.name);
    if (setting == choice.params.end()) {
      if (param.required) {
        mistakes.add(choice.place, fmt::format("[{}] lacks \"{}\" ({}), which {} requires", label, param.name,
                                               describe_type(param), module.name));
      }
      values.push_back(param.initial);
      continue;
    }
    const auto value = convert(param, setting->second.value);
    if (!value) {
      std::string message = fmt::format("[{}] {} takes {}, not {}", label, param.name, describe_type(param),
                                        found_scalar(setting->second.value));
      const std::string* text = std::get_if<std::string>(&setting->second.value);
      if (text && param.type == SLUICE_CHOICE) message += did_you_mean(*text, choices_of(param));
      mistakes.add(setting->second.place, message);
    }
    values.push_back(value.value_or(param.initial));
  }
  return values;
}

std::vector<sluice_value> resolve_params(const sluice_module& module, const ModuleChoice& choice) {
  Mistakes mistakes;
  std::vector<sluice_value> values = check_params(module, choice, interface_noun(module.interface_id), mistakes);
  mistakes.raise();
  return values;
}

std::string describe_choice(const sluice_module& module, const ModuleChoice& choice) {
  const std::vector<sluice_value> values = resolve_params(module, choice);
  std::string text = module.name;
  for (size_t i = 0; i < values.size(); ++i) {
    text += fmt::format(" {}={}", module.params[i].name, value_text(module.params[i], values[i]));
  }
  return text;
}

}  // namespace sluice
