// How fast RoPE turns each pair of a head, with the ways models stretch it to longer contexts. Which of them
// a model wants is read from its file elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct RopeScaling {
  enum class Kind {
    kNone,
    kLinear,   // every frequency divided by `factor`
    kLlama3,   // slow pairs divided by `factor`, fast ones kept, those between blended
    kFactors,  // pair i divided by factors[i] (GGUF's form of Llama 3's)
  } kind = Kind::kNone;
  double factor = 1;
  double low_frequency_factor = 1, high_frequency_factor = 4, original_context = 8192;  // kLlama3
  std::vector<float> factors;                                                           // [head_dim / 2] for kFactors
};

// [head_dim / 2]: pair i turns by position * frequency[i].
std::vector<float> rope_frequencies(double theta, uint32_t head_dim, const RopeScaling& scaling);

// For people: "none", "linear x4", "llama3 x8".
std::string describe(const RopeScaling& scaling);

}  // namespace sluice
