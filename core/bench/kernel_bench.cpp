// See kernel_bench.h: which kernels there are, and how one is timed.
#include "core/bench/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/bench/kernel_parts.h"
#include "core/bench/roof.h"
#include "core/report/statistics.h"

namespace sluice {
namespace {

// The shape of a 7B model's layer, or what fits into a core's own cache.
KernelShape shape_of(KernelData data) {
  if (data == KernelData::kCache) return {1024, 32, 512, 2, 0};
  return {4096, 512, 4096, 32, 4 * last_level_cache()};
}

}  // namespace

struct KernelBench::Impl {
  Registry& registry;
  KernelShape shape;
  bool exact;
  const sluice_module& module;
  std::vector<sluice_value> values;
  std::unique_ptr<check::BackendProbe> backend;
  std::vector<Instance> instances;
  KernelCodecs codecs;
  std::unique_ptr<check::BackendProbe> new_backend() const {
    return std::make_unique<check::BackendProbe>(registry, module, values);
  }
};

KernelBench::KernelBench(Registry& registry, const Config& config, KernelData data, bool exact) {
  const sluice_module& module = registry.find(SLUICE_BACKEND, config.backend.name, config.backend.place.text);
  impl_ = std::make_unique<Impl>(
      Impl{registry, shape_of(data), exact, module, resolve_params(module, config.backend), {}, {}, {}});
  impl_->backend = impl_->new_backend();
  if (!impl_->backend->device().immediate)
    throw Error(
        fmt::format("--kernel: backend {} computes on memory of its own, and only kernels that have run when "
                    "their call returns can be timed here",
                    config.backend.name));
  const sluice_geometry geometry{2, impl_->shape.lanes, impl_->shape.lanes, kKernelHeadDim, impl_->shape.slots};
  const std::optional<ModuleChoice>* choices[2] = {&config.policy.key_codec, &config.policy.value_codec};
  impl_->instances.reserve(2);
  for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
    if (!*choices[side] || (*choices[side])->name.empty()) continue;
    const ModuleChoice& choice = **choices[side];
    const sluice_module& codec = registry.find(SLUICE_CODEC, choice.name, choice.place.text);
    impl_->instances.push_back(registry.create_policy(codec, geometry, resolve_params(codec, choice)));
    impl_->codecs.sides[side] = &impl_->instances.back();
  }
}

KernelBench::~KernelBench() = default;

const sluice_device& KernelBench::device() const { return impl_->backend->device(); }

std::vector<KernelName> KernelBench::names() const {
  std::vector<KernelName> names = backend_kernels(*impl_->backend, impl_->shape, impl_->exact);
  for (KernelName& name : codec_kernels(impl_->codecs, impl_->shape)) names.push_back(std::move(name));
  return names;
}

KernelCall KernelBench::make(const std::string& name) const {
  std::vector<std::string> known;
  for (const KernelName& kernel : names()) known.push_back(kernel.name);
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw Error(fmt::format("--kernel: no kernel \"{}\"{}; `--kernel list` shows those of this configuration",
                            printable(name), did_you_mean(name, known)));
  if (name.starts_with("codec_")) return make_codec_kernel(impl_->codecs, impl_->registry.pool(), impl_->shape, name);
  // A backend of its own, whose memory goes with the kernel.
  auto backend = impl_->new_backend();
  KernelCall kernel = [&] {
    if (name.ends_with("_gemv") || name.ends_with("_gemm"))
      return make_matmul(*backend, impl_->shape, impl_->exact, name);
    if (name == "rmsnorm" || name == "silu_mul") return make_row_kernel(*backend, impl_->shape, name);
    return make_attention_kernel(*backend, impl_->shape, name);
  }();
  kernel.call = [backend = std::shared_ptr(std::move(backend)), call = std::move(kernel.call)] { call(); };
  return kernel;
}

KernelFigures time_kernel(const KernelCall& kernel, uint64_t calls) {
  using Clock = std::chrono::steady_clock;
  const auto slice = [&](uint64_t n) {
    const auto start = Clock::now();
    for (uint64_t i = 0; i < n; i++) kernel.call();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  if (calls) return {calls, slice(calls) / double(calls), kUnknown};
  constexpr double kSlice = 0.1;
  constexpr int kSlices = 7;
  uint64_t n = 1;
  for (double took = slice(n); took < kSlice; took = slice(n))
    n = std::max(n + 1, uint64_t(double(n) * std::min(16.0, 1.1 * kSlice / std::max(took, 1e-9))));
  RunningMean seconds;
  for (int i = 0; i < kSlices; i++) seconds.add(slice(n) / double(n));
  return {n * kSlices, seconds.mean(), std::sqrt(seconds.variance())};
}

}  // namespace sluice
