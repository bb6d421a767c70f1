// Repeatable randomness for tests that damage data. SLUICE_FUZZ_SEED and SLUICE_FUZZ_ROUNDS (a factor) make long runs
// of them.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace sluice::testing {

class FuzzRandom {
 public:
  explicit FuzzRandom(uint64_t stream)
      : state_(stream * 0x9E3779B97F4A7C15u + from_environment("SLUICE_FUZZ_SEED", 1)) {
    for (int i = 0; i < 4; i++) next();
  }
  uint64_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ >> 33;
  }
  static int rounds(int usual) { return usual * int(from_environment("SLUICE_FUZZ_ROUNDS", 1)); }

 private:
  static uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* const value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
  }
  uint64_t state_;
};

}  // namespace sluice::testing
