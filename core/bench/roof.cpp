// See roof.h: a buffer on huge pages that all threads read, and the loops of multiply_peak.h.
#include "core/bench/roof.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace sluice {
namespace {

constexpr uint64_t kHugePage = uint64_t(2) << 20;

uint64_t memory_free() {
  std::ifstream info("/proc/meminfo");
  uint64_t kib = 0;
  for (std::string line; std::getline(info, line);)
    if (std::sscanf(line.c_str(), "MemAvailable: %" SCNu64, &kib) == 1) return kib * 1024;
  return uint64_t(sysconf(_SC_AVPHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
}

double read_bandwidth(ThreadPool& pool) {
  const uint64_t bytes = roof_buffer_bytes(last_level_cache(), memory_free());
  const uint64_t part = bytes / pool.threads() / kHugePage * kHugePage;
  void* const memory = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || part == 0) return kUnknown;
  char* const data = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1));
  madvise(data, bytes, MADV_HUGEPAGE);
  pool.each(pool.threads(), [&](uint32_t i) { std::memset(data + i * part, 1, part); });
  std::vector<uint64_t> sums(pool.threads() * 8);  // a cache line each
  double best = 0, total = 0;
  for (int pass = 0; pass < 5 || total < 0.4; pass++) {
    const auto start = std::chrono::steady_clock::now();
    pool.each(pool.threads(), [&](uint32_t i) {
      const auto* from = reinterpret_cast<const uint64_t*>(data + i * part);
      uint64_t sum[16] = {};
      for (uint64_t w = 0; w < part / 8; w += 16)
        for (int k = 0; k < 16; k++) sum[k] += from[w + k];
      for (uint64_t s : sum) sums[i * 8] += s;
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, double(part * pool.threads()) / seconds), total += seconds;
  }
  munmap(memory, bytes + kHugePage);
  return sums[0] != 0 ? best : kUnknown;
}

bool differ(double before, double after) { return std::abs(after - before) > kRoofChange * before; }

}  // namespace

uint64_t last_level_cache() {
  // Not sysconf(), which gives all of a processor's slices where a core reaches one of them.
  uint64_t most = 0;
  for (int index = 0; index < 8; index++) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    uint64_t number = 0;
    char unit = 0;
    if (file >> number >> unit) most = std::max(most, number << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0));
  }
  return most ? most : uint64_t(32) << 20;
}

uint64_t roof_buffer_bytes(uint64_t cache, uint64_t memory_free) {
  const uint64_t wanted = std::max(8 * cache, uint64_t(64) << 20);
  return std::min(wanted, memory_free / 4) / kHugePage * kHugePage;
}

Roof measure_roof(ThreadPool& pool, std::string_view instructions) {
  Roof roof;
  roof.bandwidth = read_bandwidth(pool);
  roof.multiply = multiply_peak(pool, instructions);
  return roof;
}

std::string roof_change(const Roof& before, const Roof& after) {
  const auto change = [](const char* what, const char* unit, double a, double b) {
    return fmt::format("this machine {} {:.1f} {} before the tests and {:.1f} after them", what, a / 1e9, unit,
                       b / 1e9);
  };
  if (differ(before.bandwidth, after.bandwidth)) return change("read", "GB/s", before.bandwidth, after.bandwidth);
  if (differ(before.multiply.integers, after.multiply.integers))
    return change("did", "GOP/s in integers", before.multiply.integers, after.multiply.integers);
  if (differ(before.multiply.floats, after.multiply.floats))
    return change("did", "GFLOP/s", before.multiply.floats, after.multiply.floats);
  return {};
}

Roof roof_between(const Roof& before, const Roof& after) {
  const auto mean = [](double a, double b) { return std::isfinite(b) ? (a + b) / 2 : a; };
  return {
      mean(before.bandwidth, after.bandwidth),
      {mean(before.multiply.floats, after.multiply.floats), mean(before.multiply.integers, after.multiply.integers)}};
}

}  // namespace sluice
