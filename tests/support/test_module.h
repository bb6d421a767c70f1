// An evictor made in memory, for tests of the host and of the configuration: it does nothing, and its parameters
// are the test's.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/plugins/registry.h"
#include "sluice/backend.h"

namespace sluice::testing {

// A table of functions that are never called.
inline void never_called() {}

// Modules point into themselves: neither copied nor moved.
struct TestModule {
  explicit TestModule(const char* name, const char* interface_id = SLUICE_EVICTOR,
                      uint32_t layout = SLUICE_EVICTOR_LAYOUT) {
    table.assign(64, &never_called);
    module.interface_id = interface_id;
    module.table = table.data();
    module.layout = layout;
    module.name = name;
    module.summary = "does nothing";
    module.version = "1";
    plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, &modules, "test"};
  }
  TestModule(const TestModule&) = delete;

  void set_params(std::vector<sluice_param> list) {
    params = std::move(list);
    module.params = params.data();
    module.param_count = uint32_t(params.size());
  }

  std::vector<void (*)()> table;
  std::vector<sluice_param> params;
  sluice_module module{};
  const sluice_module* modules = &module;
  sluice_plugin plugin{};
};

inline sluice_value int_value(int64_t i) {
  sluice_value value{};
  value.i = i;
  return value;
}
inline sluice_value float_value(double f) {
  sluice_value value{};
  value.f = f;
  return value;
}
inline sluice_value text_value(const char* s) {
  sluice_value value{};
  value.s = s;
  return value;
}
inline sluice_param param(const char* name, int32_t type, sluice_value initial, sluice_value min = {},
                          sluice_value max = {}, const char* choices = nullptr, bool required = false) {
  return {name, "what it is", choices, type, required ? 1 : 0, initial, min, max};
}

}  // namespace sluice::testing
