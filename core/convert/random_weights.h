// Random weights of any type, made fast: blocks are drawn from a pool that was quantized once, so their statistics are
// those of quantized normal numbers and a 7B model takes seconds of work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class RandomBlocks {
 public:
  // Normal numbers (nearly: sums of twelve uniform ones) of standard deviation `deviation`.
  RandomBlocks(uint32_t type, float deviation, uint64_t seed);

  // One row of `cols` numbers, the same for the same seed on every machine. [any thread]
  void fill_row(uint64_t cols, uint64_t seed, std::byte* out) const;

 private:
  uint64_t unit_numbers_, unit_bytes_;  // drawn together: a block, or eight plain numbers
  std::vector<std::byte> pool_;         // [units][unit_bytes]
};

// A well-mixed number for a seed and an index.
uint64_t mix_seed(uint64_t seed, uint64_t index);

}  // namespace sluice
