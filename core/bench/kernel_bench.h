// Each hot kernel alone, through the verbs that a step calls: matmuls of every weight type, rows of floats, attention
// on F16 rows, and a codec's verbs on packed ones. Inputs follow from a seed, so that instructions can be counted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/report/result.h"

namespace sluice {

struct KernelName {
  std::string name, what;
};

// Ready to be called again and again; what it works on lives as long as this.
struct KernelCall {
  std::string name;
  double operations = 0;  // of a call: multiplications and additions; 0 where they are not what it is about
  bool integers = false;  // most of them are of 8-bit numbers
  double bytes = 0;       // of weights or of the cache that a call reads, or codes
  std::function<void()> call;
};

// In memory, a call finds nothing in the caches that it may find there in a large model: it works on as many copies in
// turn as it takes. In the caches, it works on one small copy.
enum class KernelData { kMemory, kCache };

class KernelBench {
 public:
  // With the backend and the codecs that the configuration names. The registry outlives it.
  KernelBench(Registry& registry, const Config& config, KernelData data, bool exact);
  ~KernelBench();
  KernelBench(const KernelBench&) = delete;

  const sluice_device& device() const;
  std::vector<KernelName> names() const;
  // Throws Error that suggests others where there is none of this name.
  KernelCall make(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct KernelFigures {
  uint64_t calls = 0;
  double seconds = kUnknown, seconds_sd = kUnknown;  // of a call
};
// `calls`: exactly so many, no more (to count instructions); 0: as many as a few slices of time hold, after a warm-up.
KernelFigures time_kernel(const KernelCall& kernel, uint64_t calls);

}  // namespace sluice
