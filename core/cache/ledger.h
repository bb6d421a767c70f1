// Bytes of a cache by what they hold. The kinds add up to the live pieces of the arena, to the byte.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>

#include "core/base/byte_kinds.h"

namespace sluice {

struct Ledger {
  std::array<uint64_t, kKinds> bytes{};

  uint64_t& operator[](Kind kind) { return bytes[uint32_t(kind)]; }
  uint64_t operator[](Kind kind) const { return bytes[uint32_t(kind)]; }
  uint64_t total() const { return std::accumulate(bytes.begin(), bytes.end(), uint64_t(0)); }
  void add(const Ledger& other) {
    for (uint32_t i = 0; i < kKinds; i++) bytes[i] += other.bytes[i];
  }
};

}  // namespace sluice
