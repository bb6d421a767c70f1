// What a GPU may answer besides success, and what its memory costs: caps, exhaustion, a failed launch, recorded steps
// that outlive the scratch they were recorded with, and a machine without a device.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "backends/cuda/kernel_names.h"
#include "core/base/error.h"
#include "core/plugins/interfaces.h"
#include "sluice/gguf_types.h"
#include "tests/cuda_fixture.h"

namespace sluice::testing {
namespace {

using check::BackendProbe;
using check::Mat;
using check::random_mat;
using check::Weight;
using cuda::emulated_counts;
using cuda::Kernel;

constexpr uint64_t kMiB = 1u << 20;

std::string refusal(const BackendProbe& backend, sluice_status status) {
  try {
    backend.check(status);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_words(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
}

TEST(CudaDevice, ACapIsTheDevicesSizeAndSaysWhatWouldFit) {
  CudaPlugins plugins;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values("64MiB"));
  EXPECT_EQ(backend.device().memory_total, 64 * kMiB);
  void *first = nullptr, *second = nullptr;
  backend.check(backend.table->buffer_create(backend.self, SLUICE_USE_ACTIVATIONS, 40 * kMiB, &first));
  const std::string why =
      refusal(backend, backend.table->buffer_create(backend.self, SLUICE_USE_ACTIVATIONS, 30 * kMiB, &second));
  expect_words(why, {"30.00 MiB", "40.00 MiB are in use", "64.00 MiB in all", "24.00 MiB would fit"});
  sluice_device device{};
  backend.check(backend.table->device(backend.self, &device));
  EXPECT_EQ(device.memory_free, 24 * kMiB);
  backend.table->buffer_destroy(backend.self, first);
  backend.check(backend.table->buffer_create(backend.self, SLUICE_USE_ACTIVATIONS, 60 * kMiB, &second));
  backend.table->buffer_destroy(backend.self, second);
}

TEST(CudaDevice, BytesInUseAreThoseOfTheDevice) {
  CudaPlugins plugins;
  const uint64_t before = emulated_counts().backed;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  const Weight w(backend, SLUICE_GGUF_Q4_0, 96, 256, 1);
  void* cache = nullptr;
  backend.check(backend.table->buffer_create(backend.self, SLUICE_USE_CACHE, 1024 * kMiB, &cache));
  auto* const range = static_cast<uint8_t*>(cache) + 512 * kMiB;
  const auto used = [&] {
    sluice_device device{};
    backend.check(backend.table->device(backend.self, &device));
    return device.memory_total - device.memory_free;
  };
  EXPECT_EQ(used(), emulated_counts().backed - before);
  const uint64_t reserved = used();
  backend.check(backend.table->commit(backend.self, range, 4 * kMiB, 1));
  EXPECT_EQ(used(), reserved + 4 * kMiB);
  EXPECT_EQ(used(), emulated_counts().backed - before);
  backend.check(backend.table->commit(backend.self, range + 2 * kMiB, 2 * kMiB, 0));
  EXPECT_EQ(used(), reserved + 2 * kMiB);
  expect_words(refusal(backend, backend.table->commit(backend.self, range, 2 * kMiB, 1)), {"backed already"});
  backend.table->buffer_destroy(backend.self, cache);
  EXPECT_EQ(used(), reserved);
}

TEST(CudaDevice, ExhaustedMemoryLeavesWhatWasThere) {
  CudaPlugins plugins;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  const Mat x = random_mat(3, 64, 1);
  const sluice_mat kept = backend.put(x);
  const uint64_t before = emulated_counts().backed;
  cuda::limit_emulated_memory(before + 8 * kMiB);
  void* address = nullptr;
  const std::string why =
      refusal(backend, backend.table->buffer_create(backend.self, SLUICE_USE_ACTIVATIONS, 64 * kMiB, &address));
  cuda::limit_emulated_memory(uint64_t(8) << 30);
  expect_words(why, {"activations", "the device refused 64.00 MiB", "8.00 MiB of its"});
  EXPECT_EQ(emulated_counts().backed, before);
  EXPECT_EQ(backend.get(kept).data, x.data);
}

TEST(CudaDevice, AFailedLaunchIsTheDevicesEnd) {
  CudaPlugins plugins;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  const sluice_mat x = backend.put(random_mat(3, 64, 1));
  cuda::break_emulated_device(true);
  const std::string why = refusal(backend, backend.table->add(backend.self, backend.fast, &x, &x, &x));
  const std::string waited = refusal(backend, backend.table->wait(backend.self, backend.fast));
  cuda::break_emulated_device(false);
  expect_words(why, {"add", "illegal memory access", "until the program starts again"});
  expect_words(waited, {"the device failed", "illegal memory access"});
}

TEST(CudaDevice, RecordedStepsOutliveTheScratchTheyWereRecordedWith) {
  CudaPlugins plugins;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  const auto& replay =
      *static_cast<const sluice_backend_replay*>(find_extension(plugins.module(), SLUICE_BACKEND_REPLAY).table);
  const Weight w(backend, SLUICE_GGUF_Q4_0, 64, 64, 3);
  const Mat values = random_mat(2, 64, 4);
  const sluice_mat x = backend.put(values), out = backend.room(2, 64);
  const auto product = [&] { backend.check(backend.table->matmul(backend.self, backend.fast, &x, w.weight, &out)); };
  product();  // makes the scratch that the recording points to
  const Mat want = backend.get(out);
  void* step = nullptr;
  backend.check(replay.begin(backend.self, backend.fast));
  expect_words(refusal(backend, replay.begin(backend.self, backend.fast)), {"records already"});
  product();
  expect_words(refusal(backend, replay.run(backend.self, backend.fast, step)), {"is recording"});
  backend.check(replay.end(backend.self, backend.fast, &step));
  expect_words(refusal(backend, replay.end(backend.self, backend.fast, &step)), {"does not record"});

  const Mat many = random_mat(3000, 64, 5);  // outgrows it
  const sluice_mat wide = backend.put(many), result = backend.room(3000, 64);
  backend.check(backend.table->matmul(backend.self, backend.fast, &wide, w.weight, &result));
  backend.check(backend.table->wait(backend.self, backend.fast));
  backend.check(backend.table->fill(backend.self, backend.fast, out.data, 0, 2 * 64 * sizeof(float)));
  const uint64_t before = emulated_counts().replays;
  backend.check(replay.run(backend.self, backend.fast, step));
  EXPECT_EQ(emulated_counts().replays, before + 1);
  EXPECT_EQ(backend.get(out).data, want.data);
  replay.destroy(backend.self, step);
}

TEST(CudaDevice, FewRowsReadWeightsOnceManyGoToTensorCores) {
  CudaPlugins plugins;
  BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  const Weight w(backend, SLUICE_GGUF_Q4_0, 64, 64, 3);
  const auto counted = [&](uint32_t rows) {
    const auto before = emulated_counts();
    const sluice_mat x = backend.put(random_mat(rows, 64, rows)), out = backend.room(rows, 64);
    backend.check(backend.table->matmul(backend.self, backend.fast, &x, w.weight, &out));
    backend.check(backend.table->wait(backend.self, backend.fast));
    const auto after = emulated_counts();
    const auto fast = uint32_t(cuda::typed(cuda::Typed::kFastProduct, cuda::type_index(SLUICE_GGUF_Q4_0)));
    return std::pair(after.launches[fast] - before.launches[fast], after.gemms - before.gemms);
  };
  EXPECT_EQ(counted(1), std::pair(uint64_t(1), uint64_t(0)));
  EXPECT_EQ(counted(16), std::pair(uint64_t(1), uint64_t(0)));
  EXPECT_EQ(counted(17), std::pair(uint64_t(0), uint64_t(1)));
}

TEST(CudaDevice, WithoutADeviceTheModuleSaysWhyAndCannotBeMade) {
  CudaPlugins plugins;
  const Extension presence = find_extension(plugins.module(), SLUICE_BACKEND_PRESENCE);
  ASSERT_TRUE(presence.table) << presence.reason;
  const auto& table = *static_cast<const sluice_backend_presence*>(presence.table);
  EXPECT_EQ(table.unavailable(), nullptr);
  setenv("SLUICE_EMULATED_GPU_ABSENT", "1", 1);
  const std::string reason = table.unavailable() ? table.unavailable() : "";
  std::string refused;
  try {
    BackendProbe backend(plugins.registry, plugins.module(), plugins.values());
  } catch (const Error& error) {
    refused = error.what();
  }
  unsetenv("SLUICE_EMULATED_GPU_ABSENT");
  expect_words(reason, {"no NVIDIA driver", "use backend \"cpu\""});
  expect_words(refused, {"backend cuda, create", "no NVIDIA driver"});
}

// The names under which the plugin asks for kernels are those that nvcc's module has (tests/data/cuda_registers.tsv).
TEST(CudaKernels, AreAskedForByTheNamesOfTheModule) {
  std::set<std::string> asked, there;
  for (uint32_t k = 0; k < uint32_t(cuda::Kernel::kCount); k++) {
    char name[64];
    if (cuda::kernel_name(cuda::Kernel(k), name)) asked.insert(name);
  }
  std::ifstream table(SLUICE_TEST_DATA "/cuda_registers.tsv");
  for (std::string line; std::getline(table, line);)
    if (!line.starts_with("#")) there.insert(line.substr(0, line.find('\t')));
  EXPECT_EQ(asked, there);
}

}  // namespace
}  // namespace sluice::testing
