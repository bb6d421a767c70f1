// A small random Llama with a valid vocabulary, the same for the same parameters on every machine: the model
// that tests run where no real one is at hand. Written as a GGUF file or as a Hugging Face folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/tokenizer/vocabulary.h"
#include "sluice/gguf_types.h"

namespace sluice::testing {

struct TinyModel {
  std::string architecture = "llama";  // or "qwen2"
  uint32_t layers = 2, width = 64, heads = 4, kv_heads = 2, ffn = 128;
  uint32_t head_dim = 0;  // 0: width / heads
  uint32_t vocab = 320;   // at least 300, or 4 to 50
  uint32_t context = 512;
  uint32_t type = SLUICE_GGUF_F32;  // of all matrices
  uint64_t seed = 1;
  bool tied = false, qkv_bias = false;
  float rope_theta = 10000.0f;
  uint32_t sliding_window = 0;
  std::string chat_template;

  uint32_t head_size() const { return head_dim ? head_dim : width / heads; }
};

// SentencePiece: <unk> <s> </s>, the 256 bytes, then pieces of printable ASCII. Up to 50 tokens: without the bytes.
Vocabulary tiny_vocabulary(uint32_t tokens);

// Tensors of the model by GGUF's names, before they are rounded to `type`. Rows of q and k as RoPE's neighbours.
struct TinyTensor {
  std::string name;
  uint32_t rows = 1, cols = 0;
  std::vector<float> values;  // [rows][cols]
};
std::vector<TinyTensor> tiny_tensors(const TinyModel& model);

void write_tiny_gguf(const std::filesystem::path& file, const TinyModel& model);
// type must be F32, F16 or BF16. `shards` safetensors files (with an index if more than one), a config.json and a
// tokenizer.model. Loaded, it equals the GGUF file of the same parameters bit by bit.
void write_tiny_huggingface(const std::filesystem::path& folder, const TinyModel& model, uint32_t shards = 1);

}  // namespace sluice::testing
