// What the tests of the cpu backend share: the backend as the registry loads it, with chosen threads and instruction
// set. Matrices, weights and sequences are the checker's.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/check/backend_probe.h"
#include "core/plugins/describe.h"
#include "sluice/gguf_types.h"
#include "sluice/half.h"

namespace sluice::testing {

using check::all_types;
using check::is_float_type;
using check::Mat;
using check::put_half;
using check::random_mat;
using check::random_weights;
using check::Weight;

using Floats = std::vector<float>;

struct Options {
  unsigned threads = 1;
  std::string isa = "auto";
  std::string memory;
  bool repack = true;
};

// Strings point into `options`.
inline std::vector<sluice_value> cpu_values(const sluice_module& module, const Options& options) {
  std::vector<sluice_value> values;
  for (uint32_t i = 0; i < module.param_count; i++) {
    const sluice_param& p = module.params[i];
    values.push_back(p.initial);
    const std::string_view name = p.name;
    if (name == "threads") values.back().i = options.threads;
    if (name == "memory") values.back().s = options.memory.c_str();
    if (name == "repack") values.back().i = options.repack;
    if (name == "isa") {
      const auto names = choices_of(p);
      for (size_t k = 0; k < names.size(); k++)
        if (names[k] == options.isa) values.back().i = int64_t(k);
    }
  }
  return values;
}

// The backend that SLUICE_TEST_BACKEND names, cpu without it.
struct CpuPlugins {
  explicit CpuPlugins(unsigned threads)
      : pool(threads), registry(std::vector<std::filesystem::path>{SLUICE_PLUGINS}, pool) {}
  const sluice_module& module() const {
    const char* const named = std::getenv("SLUICE_TEST_BACKEND");
    return registry.find(SLUICE_BACKEND, named ? named : "cpu");
  }
  ThreadPool pool;
  Registry registry;
};

// Throws Error where create() refuses.
class Cpu : private CpuPlugins, public check::BackendProbe {
 public:
  explicit Cpu(const Options& options = {})
      : CpuPlugins(options.threads), BackendProbe(registry, module(), cpu_values(module(), options)) {}
  std::string kernels() const { return device().kernels; }
};

// The instruction sets that this processor has; others cannot be created.
inline std::vector<std::string> usable_isas() {
  std::vector<std::string> usable;
  for (const char* isa : {"portable", "avx2", "avx512vnni", "neon"}) {
    try {
      Cpu cpu({1, isa, "", true});
      usable.emplace_back(isa);
    } catch (const Error&) {
    }
  }
  return usable;
}

}  // namespace sluice::testing
