// True shapes of well-known models, and the tensors that a model of some shape consists of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/model_file.h"

namespace sluice {

// "llama2-7b", "llama3-8b" ...; hyper.name is the same. Error with the names there are.
Hyperparameters model_shape(std::string_view name);
std::vector<std::string_view> model_shape_names();

enum class TensorRole {
  kMatrix,
  kResidual,  // a matrix whose product is added to the residual stream
  kNorm,
  kBias,
};

struct TensorShape {
  std::string name;  // GGUF's
  uint64_t rows = 1, cols = 0;
  TensorRole role = TensorRole::kMatrix;
};

// In the order that GGUF files have them.
std::vector<TensorShape> tensor_shapes(const Hyperparameters& hyper);

}  // namespace sluice
