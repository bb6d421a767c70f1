// The cuda backend on the emulated GPU, as a registry has it.
#pragma once

#include <string>
#include <vector>

#include "backends/cuda/emulate/runtime.h"
#include "core/check/backend_probe.h"
#include "core/plugins/registry.h"

extern "C" const sluice_plugin* sluice_plugin_entry(void);

namespace sluice::testing {

struct CudaPlugins {
  CudaPlugins() : pool(2), registry({}, pool) { registry.add(*sluice_plugin_entry()); }
  const sluice_module& module() const { return registry.find(SLUICE_BACKEND, "cuda"); }
  // Defaults; `memory` lives as long as they are used.
  std::vector<sluice_value> values(const char* memory = "") const {
    std::vector<sluice_value> all;
    for (uint32_t i = 0; i < module().param_count; i++) {
      all.push_back(module().params[i].initial);
      if (std::string(module().params[i].name) == "memory") all.back().s = memory;
    }
    return all;
  }
  ThreadPool pool;
  Registry registry;
};

}  // namespace sluice::testing
