// A model as a file describes it: hyperparameters, tensors and vocabulary, fully validated, in one form for
// GGUF files and Hugging Face folders. Nothing is computed here; weights.h hands the tensors to a backend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

// A matrix [rows][cols] (a vector has one row) in GGUF's on-disk form of `type`.
struct Tensor {
  std::string name;  // GGUF's: "blk.0.attn_q.weight"
  uint32_t type = 0;
  uint64_t rows = 0, cols = 0;
  const void* data = nullptr;
  uint64_t bytes = 0;
  uint64_t offset = 0;    // in the file it came from
  std::string stored_as;  // what the file calls the type, for people: "Q4_1", "BF16"
};

struct Hyperparameters {
  std::string architecture;  // "llama", "qwen2"
  std::string name;          // what the file calls the model, for people
  uint32_t layers = 0, width = 0, ffn_width = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
  uint32_t context = 0;         // the trained context
  uint32_t sliding_window = 0;  // 0: none. Contexts beyond it are refused.
  float rms_epsilon = 1e-5f;
  float rope_theta = 10000.0f;
  std::vector<float> rope_frequency;  // [head_dim / 2], scaling applied: pair i turns by position * frequency[i]
  std::string rope_scaling;           // for people: "none", "linear x4", "llama3 x8"
  bool tied_embeddings = false;
  bool qkv_bias = false;
};

// A metadata entry as text, for `inspect`.
struct Metadata {
  std::string key, type, value;
};

class ModelFile {
 public:
  // A .gguf file or a Hugging Face folder. Maps the files and validates everything before it returns. Throws
  // Error naming file and offset or tensor, what was found and what would be right.
  static std::unique_ptr<ModelFile> open(const std::filesystem::path& path);
  virtual ~ModelFile() = default;

  const std::filesystem::path& path() const { return path_; }
  const std::string& format() const { return format_; }  // "GGUF v3", "Hugging Face, 2 shards"
  const Hyperparameters& hyper() const { return hyper_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // In file order, under GGUF's names. Rows of attn_q and attn_k (and their biases) are ordered so that
  // RoPE turns neighbouring pairs (2i, 2i+1).
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const;    // NULL if absent
  const Tensor& tensor(std::string_view name) const;  // Error if absent
  const std::vector<Metadata>& metadata() const { return metadata_; }
  // This tensor's data will not be read any more: its pages of the file, or the copy that was made of them, may go.
  virtual void drop_data(const Tensor&) {}

 protected:
  std::filesystem::path path_;
  std::string format_;
  Hyperparameters hyper_;
  Vocabulary vocabulary_;
  std::vector<Tensor> tensors_;
  std::vector<Metadata> metadata_;
};

}  // namespace sluice
