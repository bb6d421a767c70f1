// A built-in codec by name, with parameters by name, driven by the checker's probe. What the numbers should be is
// codec_reference.h's business.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/check/codec_probe.h"
#include "core/plugins/describe.h"
#include "sluice/kernels.h"

namespace sluice::testing {

using check::Coded;
using check::key_like_rows;
using check::random_rows;
using check::Rows;
using check::to_half_and_back;

inline Registry& codec_registry() {
  static ThreadPool pool(1);
  static const std::filesystem::path folder[] = {SLUICE_PLUGINS, SLUICE_EXAMPLES};
  static Registry registry(folder, pool);
  return registry;
}

using CodecParameter = std::variant<int, double, std::string>;
using CodecParameters = std::map<std::string, CodecParameter>;

// The module's defaults with some parameters set by name; choices by their text.
inline std::vector<sluice_value> codec_values(const sluice_module& module, const CodecParameters& set) {
  std::vector<sluice_value> values;
  size_t used = 0;
  for (uint32_t p = 0; p < module.param_count; p++) {
    const sluice_param& param = module.params[p];
    sluice_value value = param.initial;
    if (const auto found = set.find(param.name); found != set.end()) {
      used++;
      const int* integer = std::get_if<int>(&found->second);
      if (const double* real = std::get_if<double>(&found->second)) value.f = *real;
      if (param.type == SLUICE_CHOICE) {
        const std::string wanted = integer ? std::to_string(*integer) : std::get<std::string>(found->second);
        const std::vector<std::string> choices = choices_of(param);
        value.i = std::find(choices.begin(), choices.end(), wanted) - choices.begin();
      } else if (integer && param.type == SLUICE_FLOAT) {
        value.f = *integer;
      } else if (integer) {
        value.i = *integer;
      }
    }
    values.push_back(value);
  }
  if (used != set.size()) throw std::logic_error("no such parameter of " + std::string(module.name));
  return values;
}

class CodecDriver : public check::CodecProbe {
 public:
  CodecDriver(const std::string& name, const CodecParameters& set, uint32_t dim)
      : CodecDriver(codec_registry().find(SLUICE_CODEC, name), set, dim) {}

 private:
  CodecDriver(const sluice_module& module, const CodecParameters& set, uint32_t dim)
      : CodecProbe(codec_registry(), module, codec_values(module, set), dim) {}
};

}  // namespace sluice::testing
