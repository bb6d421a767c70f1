// Evictors by name for tests, and the checker's driver under the names that tests use.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/check/evictor_driver.h"
#include "core/config/config.h"
#include "core/plugins/registry.h"

namespace sluice::testing {

using check::Attention;
using check::EvictorDriver;
using check::noise;
using check::Positions;
using check::Shape;
using State = check::GuardedState;

inline ThreadPool& pool_of_one() {
  static ThreadPool pool(1);
  return pool;
}

inline Registry& built_plugins() {
  static const std::filesystem::path folders[] = {SLUICE_PLUGINS, SLUICE_TEST_PLUGINS, SLUICE_EXAMPLES};
  static Registry registry(folders, pool_of_one());
  registry.read_part_params_with(read_part_params);
  return registry;
}

struct Share {
  double percent;
};
using Parameter = std::variant<int, double, Share, const char*>;
using Parameters = std::map<std::string, Parameter>;

// The module's defaults with some parameters set by name.
inline std::vector<sluice_value> values_of(const sluice_module& module, const Parameters& set) {
  std::vector<sluice_value> values;
  size_t used = 0;
  for (uint32_t p = 0; p < module.param_count; p++) {
    sluice_value value = module.params[p].initial;
    if (const auto found = set.find(module.params[p].name); found != set.end()) {
      used++;
      if (const int* i = std::get_if<int>(&found->second)) value.i = *i;
      if (const double* f = std::get_if<double>(&found->second)) value.f = *f;
      if (const Share* s = std::get_if<Share>(&found->second)) value.i = -int64_t(s->percent * 100);
      if (const char* const* s = std::get_if<const char*>(&found->second)) value.s = *s;
    }
    values.push_back(value);
  }
  if (used != set.size()) throw std::logic_error(std::string("no such parameter of ") + module.name);
  return values;
}

constexpr sluice_geometry kGeometry{2, 8, 4, check::kHeadDim, 4096};

inline Instance make_evictor(const std::string& name, const Parameters& set = {},
                             const sluice_geometry& geometry = kGeometry) {
  const sluice_module& module = built_plugins().find(SLUICE_EVICTOR, name);
  return built_plugins().create_policy(module, geometry, values_of(module, set));
}

}  // namespace sluice::testing
