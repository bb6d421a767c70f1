// See params.h: a parameter's value as JSON, for descriptions and the schema.
#include <nlohmann/json.hpp>

#include "core/config/params.h"
#include "core/plugins/describe.h"

namespace sluice {

nlohmann::ordered_json value_json(const sluice_param& param, const sluice_value& value) {
  switch (param.type) {
    case SLUICE_FLOAT:
      return value.f;
    case SLUICE_BOOL:
      return value.i != 0;
    case SLUICE_STRING:
    case SLUICE_PATH:
      return value.s;
    case SLUICE_CHOICE: {
      const std::string choice = choices_of(param)[size_t(value.i)];
      if (const auto number = choice_number(choice)) return *number;
      return choice;
    }
    case SLUICE_TOKENS:
      if (value.i < 0) return describe_tokens(value.i);
      return value.i;
    default:
      return value.i;
  }
}

}  // namespace sluice
