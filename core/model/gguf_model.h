// A model out of a GGUF file: hyperparameters from its keys, tensors held against the family's list, RoPE in the
// order that the backends turn.
#pragma once

#include <filesystem>

#include "core/model/gguf.h"
#include "core/model/model_file.h"
#include "core/model/tensor_data.h"

namespace sluice {

class GgufModel final : public ModelFile {
 public:
  explicit GgufModel(const std::filesystem::path& path);
  void drop_data(const Tensor& tensor) override;

 private:
  GgufFile file_;
  OwnedData owned_;
};

}  // namespace sluice
