// Module parameters against a module's own list; the part of params.cpp that parse.cpp and show.cpp share.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/config/mistakes.h"

namespace sluice {

// A parameter's value as people read it: 4, 0.5, 50%, sawtooth.
std::string value_text(const sluice_param& param, const sluice_value& value);
// As a configuration file has it: 4, 0.5, "50%", "sawtooth".
nlohmann::ordered_json value_json(const sluice_param& param, const sluice_value& value);
// Relative paths among the settings start where they were set from now on, and `~` at home.
void absolute_params(const sluice_module& module, ModuleChoice& choice);
// As resolve_params, but mistakes are collected. `label` is the table the choice stands in: "codec.key".
std::vector<sluice_value> check_params(const sluice_module& module, const ModuleChoice& choice, std::string_view label,
                                       Mistakes& mistakes);

}  // namespace sluice
