// Models of true shapes with random weights, for measuring speed and memory where the real weights are not at hand.
// Their text is noise, their logits are finite and of ordinary size.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "core/model/model_file.h"
#include "core/plugins/thread_pool.h"

namespace sluice {

struct SynthOptions {
  Hyperparameters hyper;  // of model_shape(), perhaps with fewer layers
  uint32_t type = 0;
  std::filesystem::path tokenizer;  // a file or folder with a vocabulary; empty: one is made up
  uint64_t seed = 0;
  bool force = false;
  bool pure = false;  // see choose_weight_type()
  const std::atomic<bool>* stop = nullptr;
  std::function<void(uint64_t done, uint64_t total, const std::string& tensor)> progress;
};

struct SynthReport {
  uint64_t parameters = 0, bytes = 0;
  uint64_t files = 1;                  // of weights
  std::vector<std::string> fallbacks;  // "blk.*.ffn_down.weight: Q4_1, rows of ..."
};

// A GGUF file, which appears complete or not at all.
SynthReport synthesize_gguf(const std::filesystem::path& out, const SynthOptions& options, ThreadPool& pool);

// A Hugging Face folder with F32, F16 or BF16 weights in at least two safetensors files, an index, config.json and the
// tokenizer. The folder must not exist, or be empty, unless options.force; it gets its name when all is written.
SynthReport synthesize_huggingface(const std::filesystem::path& out, const SynthOptions& options, ThreadPool& pool);

}  // namespace sluice
