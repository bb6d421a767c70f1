// What a Hugging Face folder's config.json says about the model. Weights and tokenizer are read in huggingface.cpp.
#pragma once

#include <filesystem>
#include <vector>

#include "core/model/model_file.h"
#include "core/model/rope_scaling.h"

namespace sluice {

struct HuggingFaceConfig {
  Hyperparameters hyper;  // what tensors tell (tied_embeddings, qkv_bias) and rope_frequency are not filled in
  RopeScaling scaling;
  bool tied = false;
  std::vector<Metadata> metadata;
};

// Error naming the file and key when something is missing, of a wrong type, or asks for what is not supported.
HuggingFaceConfig read_huggingface_config(const std::filesystem::path& file);

}  // namespace sluice
