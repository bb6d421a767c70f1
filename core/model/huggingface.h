// A model out of a Hugging Face folder: config.json, one or several safetensors files, and a tokenizer, brought
// under GGUF's names and RoPE's order.
#pragma once

#include <filesystem>
#include <vector>

#include "core/model/model_file.h"
#include "core/model/safetensors.h"
#include "core/model/tensor_data.h"

namespace sluice {

class HuggingFaceModel final : public ModelFile {
 public:
  explicit HuggingFaceModel(const std::filesystem::path& folder);
  void drop_data(const Tensor& tensor) override;

 private:
  std::vector<SafetensorsFile> files_;
  OwnedData owned_;
};

}  // namespace sluice
