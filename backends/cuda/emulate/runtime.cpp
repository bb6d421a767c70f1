// The table of runtime.h without a GPU: device memory is memory of this process that nobody but kernels and copies may
// touch, and a stream keeps what it is asked for until somebody waits. So what a caller forgets to wait for, or reads
// from the wrong side, is found: the first gives old numbers, the second ends the process.
#include "backends/cuda/runtime.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "backends/cuda/device/kernels.h"
#include "backends/cuda/emulate/runtime.h"
#include "sluice/half.h"

namespace sluice::cuda {
namespace {

constexpr uint64_t kAlignment = 2u << 20, kUnit = 64u << 10;  // small units: less to zero and to guard
constexpr Code kBroken = 700;

struct Operation {
  enum Kind : uint8_t { kCopy, kFill, kLaunch, kGemm } kind;
  void* to;
  const void* from;
  uint64_t bytes;
  uint8_t byte;
  Kernel kernel;
  Grid grid;
  Gemm product;
  std::vector<uint8_t> arguments;
};
using Operations = std::vector<Operation>;

struct Queue {
  Operations waiting, kept;
  bool records = false;
};
Queue& queue_of(Stream stream) { return *static_cast<Queue*>(stream); }

struct Device {
  std::mutex mutex;
  std::map<uint8_t*, uint64_t> reserved;
  uint64_t backed = 0, limit = uint64_t(8) << 30;
  EmulatedCounts counts;
  bool broken = false, guarded = false;
  std::set<Queue*> queues;
};
Device& device() {
  static Device* const d = new Device;
  return *d;
}

void protect_device(int protection) {
  for (const auto& [address, bytes] : device().reserved) mprotect(address, bytes, protection);
}

// Device memory can be touched as long as one of these lives.
class Touching {
 public:
  Touching() {
    if (device().guarded) protect_device(PROT_READ | PROT_WRITE);
  }
  ~Touching() {
    if (device().guarded) protect_device(PROT_NONE);
  }
  Touching(const Touching&) = delete;
};

template <class Args>
struct Call {
  void (*function)(Args);
  const Args* arguments;
};

template <class Args>
void call_kernel(const void* at) {
  const auto& call = *static_cast<const Call<Args>*>(at);
  call.function(*call.arguments);
}

struct Runner {
  void (*run)(void (*function)(), const void* arguments, const Grid& grid) = nullptr;
  void (*function)() = nullptr;
  size_t bytes = 0;
};
template <class Args>
Runner runner_of(void (*function)(Args)) {
  return {[](void (*erased)(), const void* arguments, const Grid& grid) {
            const Call<Args> call{reinterpret_cast<void (*)(Args)>(erased), static_cast<const Args*>(arguments)};
            emulate::run_grid(call_kernel<Args>, &call, grid.x, grid.y, grid.threads, grid.shared_bytes);
          },
          reinterpret_cast<void (*)()>(function), sizeof(std::remove_const_t<Args>)};
}
const std::array<Runner, uint32_t(Kernel::kCount)>& runners() {
  static const auto table = [] {
    std::array<Runner, uint32_t(Kernel::kCount)> t{};
    each_kernel([&](Kernel kernel, auto* function) { t[uint32_t(kernel)] = runner_of(function); });
    return t;
  }();
  return table;
}

void multiply_out(const Gemm& g) {
  const auto number = [&](const void* from, uint64_t i) {
    return g.halves ? sluice_from_half(static_cast<const uint16_t*>(from)[i]) : static_cast<const float*>(from)[i];
  };
  for (uint32_t t = 0; t < g.n; t++)
    for (uint32_t r = 0; r < g.rows; r++) {
      float sum = 0;
      for (uint32_t c = 0; c < g.cols; c++)
        sum += number(g.w, uint64_t(r) * g.cols + c) * number(g.x, uint64_t(t) * g.cols + c);
      g.out[uint64_t(t) * g.out_stride + r] = sum;
    }
}

void run(const Operation& o) {
  switch (o.kind) {
    case Operation::kCopy:
      std::memcpy(o.to, o.from, o.bytes);
      break;
    case Operation::kFill:
      std::memset(o.to, o.byte, o.bytes);
      break;
    case Operation::kLaunch: {
      const Runner& runner = runners()[uint32_t(o.kernel)];
      runner.run(runner.function, o.arguments.data(), o.grid);
      break;
    }
    case Operation::kGemm:
      multiply_out(o.product);
      break;
  }
}

Code ask(Stream stream, Operation&& operation) {
  const std::lock_guard lock(device().mutex);
  if (device().broken) return kBroken;
  Queue& queue = queue_of(stream);
  if (queue.records) device().counts.recorded++;
  (queue.records ? queue.kept : queue.waiting).push_back(std::move(operation));
  return kFine;
}

const char* unavailable(uint32_t index) {
  if (index > 0) return "device = 1, but the emulated GPU is the only one; they count from 0";
  return std::getenv("SLUICE_EMULATED_GPU_ABSENT")
             ? "no NVIDIA driver on this machine; install one, or use backend \"cpu\""
             : nullptr;
}
Code facts(DeviceFacts* facts) {
  *facts = {"emulated GPU", "emulated", 0, 0, 4, 48 << 10, 0};
  const std::lock_guard lock(device().mutex);
  facts->memory_total = device().limit, facts->memory_free = device().limit - device().backed;
  return kFine;
}
Code open(uint32_t, DeviceFacts* all) { return facts(all); }
const char* words(Code code) { return code == kBroken ? "an illegal memory access was encountered" : "an error"; }

uint64_t unit() { return kUnit; }
Code reserve(uint64_t bytes, void** address) {
  const std::lock_guard lock(device().mutex);
  const int protection = device().guarded ? PROT_NONE : PROT_READ | PROT_WRITE;
  void* const raw = mmap(nullptr, bytes + kAlignment, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return kOutOfMemory;
  auto* const from = static_cast<uint8_t*>(raw);
  auto* const at = reinterpret_cast<uint8_t*>((uintptr_t(raw) + kAlignment - 1) / kAlignment * kAlignment);
  if (at > from) munmap(from, size_t(at - from));
  munmap(at + bytes, size_t(from + kAlignment - at));
  device().reserved.emplace(at, bytes);
  *address = at;
  return kFine;
}
void unreserve(void* address, uint64_t bytes) {
  const std::lock_guard lock(device().mutex);
  device().reserved.erase(static_cast<uint8_t*>(address));
  munmap(address, bytes);
}
Code back(void*) {
  const std::lock_guard lock(device().mutex);
  if (device().backed + kUnit > device().limit) return kOutOfMemory;
  device().backed += kUnit;
  return kFine;
}
void run_waiting(Queue& queue) {
  if (queue.waiting.empty()) return;
  const Touching touching;
  for (const Operation& operation : queue.waiting) run(operation);
  queue.waiting.clear();
}
// Memory goes once everything that was asked for is done.
Code unback(void* address) {
  const std::lock_guard lock(device().mutex);
  for (Queue* queue : device().queues) run_waiting(*queue);
  device().backed -= kUnit;
  madvise(address, kUnit, MADV_DONTNEED);
  return kFine;
}
Code pin(uint64_t bytes, void** address) {
  *address = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!*address) return kOutOfMemory;
  std::memset(*address, 0, bytes);
  return kFine;
}
void unpin(void* address) { std::free(address); }

Code stream_create(Stream* stream) {
  auto* const queue = new Queue;
  const std::lock_guard lock(device().mutex);
  device().queues.insert(queue);
  *stream = queue;
  return kFine;
}
void stream_destroy(Stream stream) {
  const std::lock_guard lock(device().mutex);
  device().queues.erase(&queue_of(stream));
  delete &queue_of(stream);
}
void* native(Stream) { return nullptr; }
Code wait(Stream stream) {
  const std::lock_guard lock(device().mutex);
  if (device().broken) return kBroken;
  device().counts.waits++;
  run_waiting(queue_of(stream));
  return kFine;
}
Code copy(void* to, const void* from, uint64_t bytes, Stream stream) {
  Operation o{};
  o.kind = Operation::kCopy, o.to = to, o.from = from, o.bytes = bytes;
  return ask(stream, std::move(o));
}
Code fill(void* to, uint8_t byte, uint64_t bytes, Stream stream) {
  Operation o{};
  o.kind = Operation::kFill, o.to = to, o.byte = byte, o.bytes = bytes;
  return ask(stream, std::move(o));
}
Code launch(Kernel kernel, const Grid& grid, const void* arguments, Stream stream) {
  const Runner& runner = runners()[uint32_t(kernel)];
  if (!runner.function || grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.shared_bytes > 48 << 10) return kBroken;
  Operation o{};
  o.kind = Operation::kLaunch, o.kernel = kernel, o.grid = grid;
  const auto* const bytes = static_cast<const uint8_t*>(arguments);
  o.arguments.assign(bytes, bytes + runner.bytes);
  {
    const std::lock_guard lock(device().mutex);
    device().counts.launches[uint32_t(kernel)]++;
  }
  return ask(stream, std::move(o));
}
Code gemm(const Gemm& gemm, Stream stream) {
  Operation o{};
  o.kind = Operation::kGemm, o.product = gemm;
  {
    const std::lock_guard lock(device().mutex);
    device().counts.gemms++;
  }
  return ask(stream, std::move(o));
}

Code record(Stream stream) {
  queue_of(stream).records = true, queue_of(stream).kept.clear();
  return kFine;
}
Code recorded(Stream stream, Recording* recording) {
  Queue& queue = queue_of(stream);
  queue.records = false;
  *recording = new Operations(std::move(queue.kept));
  return kFine;
}
Code replay(Recording recording, Stream stream) {
  const std::lock_guard lock(device().mutex);
  if (device().broken) return kBroken;
  device().counts.replays++;
  const auto& steps = *static_cast<const Operations*>(recording);
  Queue& queue = queue_of(stream);
  queue.waiting.insert(queue.waiting.end(), steps.begin(), steps.end());
  return kFine;
}
void forget(Recording recording) { delete static_cast<Operations*>(recording); }

constexpr Runtime kRuntime = {unavailable, open,   facts, words,         unit,           reserve, unreserve, back,
                              unback,      pin,    unpin, stream_create, stream_destroy, native,  wait,      copy,
                              fill,        launch, gemm,  record,        recorded,       replay,  forget};

}  // namespace

const Runtime& runtime() { return kRuntime; }

EmulatedCounts emulated_counts() {
  const std::lock_guard lock(device().mutex);
  EmulatedCounts counts = device().counts;
  counts.backed = device().backed;
  return counts;
}
void limit_emulated_memory(uint64_t bytes) {
  const std::lock_guard lock(device().mutex);
  device().limit = bytes;
}
void guard_emulated_memory(bool guarded) {
  const std::lock_guard lock(device().mutex);
  device().guarded = guarded;
  protect_device(guarded ? PROT_NONE : PROT_READ | PROT_WRITE);
}
void break_emulated_device(bool broken) {
  const std::lock_guard lock(device().mutex);
  device().broken = broken;
}

}  // namespace sluice::cuda
