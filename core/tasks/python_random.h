// Python's random.Random: the same generator, seeded and sampled from as CPython does it, so that few-shot examples
// drawn with a seed are the harness's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace sluice {

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);  // random.Random(seed)

  // random.sample(range(count), take): indices, in the order drawn. take <= count.
  std::vector<size_t> sample(size_t count, size_t take);
  // random.randrange(below), below > 0.
  uint64_t below(uint64_t below);

 private:
  uint64_t bits(int count);  // getrandbits, 1 to 64

  std::mt19937 generator_;
};

}  // namespace sluice
