// See python_random.h. The generator is the standard library's; what differs between languages is how a seed becomes
// its first state and how numbers are made of its output.
#include "core/tasks/python_random.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <set>

namespace sluice {
namespace {

// Fills the generator's state as the reference implementation's init_by_array does with the seed's 32-bit digits.
struct SeedDigits {
  using result_type = uint32_t;
  std::vector<uint32_t> digits;

  template <class Iterator>
  void generate(Iterator begin, Iterator end) const {
    const size_t n = size_t(end - begin);
    std::vector<uint32_t> state(n);
    state[0] = 19650218;
    for (size_t i = 1; i < n; ++i) state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >> 30)) + uint32_t(i);
    size_t i = 1, j = 0;
    const auto next = [&] {
      if (++i == n) state[0] = state[n - 1], i = 1;
    };
    for (size_t k = std::max(n, digits.size()); k > 0; --k) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1664525)) + digits[j] + uint32_t(j);
      next();
      if (++j == digits.size()) j = 0;
    }
    for (size_t k = n - 1; k > 0; --k) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941)) - uint32_t(i);
      next();
    }
    state[0] = 0x80000000;
    std::copy(state.begin(), state.end(), begin);
  }
};

std::mt19937 seeded(uint64_t seed) {
  SeedDigits digits{{uint32_t(seed)}};
  if (seed >> 32) digits.digits.push_back(uint32_t(seed >> 32));
  return std::mt19937(digits);
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) : generator_(seeded(seed)) {}

uint64_t PythonRandom::bits(int count) {
  if (count <= 32) return uint32_t(generator_()) >> (32 - count);
  const uint64_t low = uint32_t(generator_());
  return low | uint64_t(uint32_t(generator_()) >> (64 - count)) << 32;
}

uint64_t PythonRandom::below(uint64_t below) {
  const int width = int(std::bit_width(below));
  uint64_t drawn = bits(width);
  while (drawn >= below) drawn = bits(width);
  return drawn;
}

std::vector<size_t> PythonRandom::sample(size_t count, size_t take) {
  assert(take <= count);
  // CPython keeps a list of what is left, or, where that would be longer, a set of what was taken; the two draw
  // different numbers.
  size_t set_size = 21;
  if (take > 5) set_size += size_t(std::pow(4.0, std::ceil(std::log(double(take) * 3) / std::log(4.0))));
  std::vector<size_t> result(take);
  if (count <= set_size) {
    std::vector<size_t> left(count);
    for (size_t i = 0; i < count; ++i) left[i] = i;
    for (size_t i = 0; i < take; ++i) {
      const size_t at = size_t(below(count - i));
      result[i] = left[at];
      left[at] = left[count - i - 1];
    }
    return result;
  }
  std::set<size_t> taken;
  for (size_t& index : result) {
    do index = size_t(below(count));
    while (!taken.insert(index).second);
  }
  return result;
}

}  // namespace sluice
