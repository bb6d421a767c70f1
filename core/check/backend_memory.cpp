// Checks of a backend's memory and of what it says of itself: device, buffers, cache ranges, weights.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/check/backend_checks.h"
#include "core/plugins/host.h"
#include "sluice/gguf_types.h"

namespace sluice::check {

namespace {

// Bytes of this process that are backed by memory, 0 where the system does not tell.
uint64_t resident_bytes() {
  unsigned long long total = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%llu %llu", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * uint64_t(sysconf(_SC_PAGESIZE));
}

// What the backend's memory takes from the process, or from the device.
uint64_t taken(BackendProbe& backend) {
  if (backend.device().immediate) return resident_bytes();
  sluice_device device{};
  backend.check(backend.table->device(backend.self, &device), "device");
  return device.memory_total - device.memory_free;
}

}  // namespace

void backend_create(const Subject& subject) {
  const auto& table = *static_cast<const sluice_backend*>(subject.module->table);
  HostState host(*subject.registry, *subject.module, nullptr);
  void* self = nullptr;
  const sluice_status status = table.create(&host.table, subject.values.data(), &self);
  if (status != SLUICE_OK) {
    const std::string message = host.take_message();
    expect(!message.empty(), fmt::format("create() fails with status {} and no message to host->fail()", status));
    fail("create() refuses its defaults: " + message);
  }
  sluice_device device{};
  const sluice_status known = table.device(self, &device);
  table.destroy(self);
  expect(known == SLUICE_OK, "device() fails");
  expect(device.name[0] && device.kernels[0], "device() leaves name or kernels empty");
  expect(std::find(std::begin(device.name), std::end(device.name), '\0') != std::end(device.name) &&
             std::find(std::begin(device.kernels), std::end(device.kernels), '\0') != std::end(device.kernels),
         "device() does not end name or kernels with a zero");
  expect(device.memory_free <= device.memory_total,
         fmt::format("device() says that {} of {} are free", human_bytes(device.memory_free),
                     human_bytes(device.memory_total)));
  expect(device.immediate <= 1, fmt::format("device() says immediate {}; it is 0 or 1", device.immediate));
  expect(host.bytes == 0, fmt::format("destroy() leaves {} bytes of host->alloc behind", host.bytes.load()));
}

void backend_buffers(const Subject& subject) {
  constexpr size_t kBytes = 100000;
  BackendProbe backend(subject);
  for (const uint32_t use : {SLUICE_USE_WEIGHTS, SLUICE_USE_ACTIVATIONS, SLUICE_USE_STAGING}) {
    void* address = nullptr;
    backend.check(backend.table->buffer_create(backend.self, use, kBytes, &address), "buffer_create");
    const size_t align = use == SLUICE_USE_STAGING ? 64 : size_t(2) << 20;
    expect(reinterpret_cast<uintptr_t>(address) % align == 0,
           fmt::format("buffer_create() of use {} gives {}, which is not aligned to {} bytes", use, address, align));
    if (use == SLUICE_USE_STAGING) {  // the host's own
      std::memset(address, 7, kBytes);
      backend.table->buffer_destroy(backend.self, address);
      continue;
    }
    std::vector<uint8_t> seen(kBytes, 1), written(kBytes);
    backend.download(address, seen.data(), kBytes);
    expect(std::all_of(seen.begin(), seen.end(), [](uint8_t b) { return b == 0; }),
           fmt::format("buffer_create() of use {} gives memory that is not zero", use));
    for (size_t i = 0; i < kBytes; i++) written[i] = uint8_t(i * 31 + 7);
    backend.upload(static_cast<uint8_t*>(address) + 50, written.data(), 3000);
    backend.check(backend.table->fill(backend.self, backend.exact, address, 9, 10), "fill");
    backend.download(address, seen.data(), kBytes);
    for (size_t i = 0; i < kBytes; i++) {
      const uint8_t wanted = i < 10 ? 9 : i >= 50 && i < 3050 ? written[i - 50] : 0;
      if (seen[i] != wanted)
        fail(fmt::format("read() gives {} at byte {} where write() and fill() left {}", seen[i], i, wanted));
    }
    backend.table->buffer_destroy(backend.self, address);
  }
}

void backend_cache(const Subject& subject) {
  constexpr uint64_t kReserve = uint64_t(1) << 30, kRange = uint64_t(1) << 21;
  BackendProbe backend(subject);
  void* address = nullptr;
  backend.check(backend.table->buffer_create(backend.self, SLUICE_USE_CACHE, kReserve, &address), "buffer_create");
  auto* const range = static_cast<uint8_t*>(address) + kReserve / 2;
  const std::vector<uint8_t> ones(kRange, 1);
  std::vector<uint8_t> seen(kRange);
  for (int round = 0; round < 2; round++) {
    backend.check(backend.table->commit(backend.self, range, kRange, 1), "commit");
    backend.download(range, seen.data(), kRange);
    expect(std::all_of(seen.begin(), seen.end(), [](uint8_t b) { return b == 0; }),
           round ? "commit() backs a range that was given back with memory that is not zero"
                 : "commit() backs a range with memory that is not zero");
    backend.upload(range, ones.data(), kRange);
    backend.check(backend.table->commit(backend.self, range, kRange, 0), "commit");
  }
  backend.table->buffer_destroy(backend.self, address);
}

// Twelve rounds, of which one may stay: allocators keep some.
void backend_freed(const Subject& subject) {
  constexpr uint64_t kBytes = uint64_t(16) << 20;
  constexpr uint32_t kCols = 1024, kRows = uint32_t(kBytes / kCols / sizeof(float));
  constexpr int kRounds = 12;
  BackendProbe backend(subject);
  const std::vector<uint8_t> ones(kBytes, 1);
  const auto grown = [&](const auto& round) {
    round();
    const uint64_t before = taken(backend);
    for (int i = 0; i < kRounds; i++) round();
    const uint64_t after = taken(backend);
    return after > before ? after - before : 0;
  };
  for (const uint32_t use : {SLUICE_USE_WEIGHTS, SLUICE_USE_ACTIVATIONS, SLUICE_USE_CACHE}) {
    const uint64_t more = grown([&] {
      void* address = nullptr;
      backend.check(backend.table->buffer_create(backend.self, use, kBytes, &address), "buffer_create");
      if (use == SLUICE_USE_CACHE) backend.check(backend.table->commit(backend.self, address, kBytes, 1), "commit");
      backend.upload(address, ones.data(), kBytes);
      backend.table->buffer_destroy(backend.self, address);
    });
    expect(more < kBytes * kRounds / 2, fmt::format("{} rounds of buffer_create() and buffer_destroy() of use {} and "
                                                    "{} keep {}",
                                                    kRounds, use, human_bytes(kBytes), human_bytes(more)));
  }
  const uint64_t more = grown([&] {
    sluice_weight* weight = nullptr;
    backend.check(
        backend.table->weight_create(backend.self, SLUICE_GGUF_F32, kRows, kCols, ones.data(), kBytes, &weight),
        "weight_create");
    backend.table->weight_destroy(backend.self, weight);
  });
  expect(more < kBytes * kRounds / 2, fmt::format("{} rounds of weight_create() and weight_destroy() of {} keep {}",
                                                  kRounds, human_bytes(kBytes), human_bytes(more)));
}

void backend_weights(const Subject& subject) {
  constexpr uint32_t kUnknown = 9999;
  BackendProbe backend(subject);
  const sluice_backend& table = *backend.table;
  std::vector<uint32_t> types = all_types();
  expect(table.weight_type(backend.self, SLUICE_GGUF_F32) == 1,
         "weight_type() says that F32 cannot be uploaded: norms are F32");
  expect(table.weight_type(backend.self, kUnknown) == 0,
         fmt::format("weight_type() says that it takes type {}, which GGUF does not have", kUnknown));
  types.push_back(kUnknown);
  const auto create = [&](uint32_t type, uint32_t rows, uint32_t cols, uint64_t size) {
    const std::vector<uint8_t> bytes(size + 64);
    sluice_weight* weight = nullptr;
    const sluice_status status = table.weight_create(backend.self, type, rows, cols, bytes.data(), size, &weight);
    const std::string message = static_cast<HostState*>(backend.instance().host()->ctx)->take_message();
    if (status == SLUICE_OK) {
      expect(weight != nullptr, "weight_create() succeeds but gives no weight");
      table.weight_destroy(backend.self, weight);
    } else {
      expect(!message.empty(),
             fmt::format("weight_create() of type {} fails with status {} and no message", type, status));
    }
    return status;
  };
  constexpr uint32_t kCols = 256;  // whole blocks of every type
  for (const uint32_t type : types) {
    const uint64_t bytes = type == kUnknown ? 2 * kCols : 2 * sluice_gguf_row_bytes(type, kCols);
    const bool taken = table.weight_type(backend.self, type) == 1;
    const sluice_status status = create(type, 2, kCols, bytes);
    expect(status == (taken ? SLUICE_OK : SLUICE_UNSUPPORTED),
           fmt::format("weight_create() of type {} gives status {}, while weight_type() says {}", type, status,
                       taken ? 1 : 0));
    if (taken)
      expect(create(type, 2, kCols, bytes - 1) == SLUICE_INVALID,
             fmt::format("weight_create() of type {} takes a byte too few without SLUICE_INVALID", type));
  }
}

}  // namespace sluice::check
