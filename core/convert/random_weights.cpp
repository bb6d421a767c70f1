// See random_weights.h.
#include "core/convert/random_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

// In the pool: powers of two, at most 2^16.
uint64_t units_of(uint64_t unit_numbers) { return unit_numbers >= 256 ? 1 << 11 : 1 << 13; }

uint64_t next(uint64_t& state) {  // splitmix64
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

float normal(uint64_t& state) {
  int64_t sum = -6 * 65535;
  for (int i = 0; i < 3; ++i) {
    const uint64_t bits = next(state);
    sum += int64_t(bits & 0xFFFF) + int64_t(bits >> 16 & 0xFFFF) + int64_t(bits >> 32 & 0xFFFF) + int64_t(bits >> 48);
  }
  return float(sum) / 65536.0f;  // each of the twelve has variance 1/12
}

}  // namespace

uint64_t mix_seed(uint64_t seed, uint64_t index) {
  uint64_t state = seed ^ index * 0xD1B54A32D192ED03u;
  next(state);
  return next(state);
}

RandomBlocks::RandomBlocks(uint32_t type, float deviation, uint64_t seed) {
  const sluice_gguf_type& info = *sluice_gguf_type_info(type);
  const uint64_t blocks = info.block == 1 ? 8 : 1;
  unit_numbers_ = blocks * info.block;
  unit_bytes_ = blocks * info.bytes;
  const uint64_t units = units_of(unit_numbers_);
  std::vector<float> numbers(units * unit_numbers_);
  uint64_t state = mix_seed(seed, type);
  for (float& x : numbers) x = deviation * normal(state);
  pool_.resize(units * unit_bytes_);
  quantize(type, numbers.data(), numbers.size(), pool_.data());
}

void RandomBlocks::fill_row(uint64_t cols, uint64_t seed, std::byte* out) const {
  uint64_t state = seed, bits = 0;
  const uint64_t mask = units_of(unit_numbers_) - 1;
  const uint64_t bytes = cols * unit_bytes_ / unit_numbers_;
  for (uint64_t done = 0, draw = 0; done < bytes; done += unit_bytes_, ++draw) {
    bits = draw % 4 == 0 ? next(state) : bits >> 16;
    // A row of plain numbers may end within a unit.
    std::memcpy(out + done, pool_.data() + (bits & mask) * unit_bytes_, std::min(unit_bytes_, bytes - done));
  }
}

}  // namespace sluice
