// A model file into a GGUF file of another weight type. Types are chosen in weight_choice.h, numbers turned in
// core/quant.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/plugins/thread_pool.h"

namespace sluice {

struct QuantizeOptions {
  uint32_t type = 0;
  bool requantize = false;  // accept weights that are quantized already
  bool force = false;       // replace an existing output
  bool pure = false;        // the output matrix, too, gets `type`
  const std::atomic<bool>* stop = nullptr;
  // (bytes read so far, of all, the tensor's name), on the caller's thread.
  std::function<void(uint64_t done, uint64_t total, const std::string& tensor)> progress;
};

struct QuantizedTensor {
  std::string name;
  uint32_t from = 0, to = 0;  // GGUF type numbers
  uint64_t rows = 0, cols = 0, bytes = 0;
  double squared_error = 0, squared_norm = 0;  // sums of (x - x')^2 and x^2, x being the input's values
  std::string reason;                          // why `to` is not the type that was asked for; empty if it is
  bool fallback = false;                       // because the rows do not divide by the type's block
};

struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;  // in file order
  uint64_t bytes_in = 0, bytes_out = 0;  // of tensors
  std::string requantized_from;          // "Q4_1, Q8_0": types that were quantized already and were changed; or empty
  bool vocabulary_converted = false;     // merges became scores, see gguf_metadata.h
};

// Reads `in` (GGUF or Hugging Face folder) and writes `out`, which appears complete or not at all. Metadata of a GGUF
// file are kept as they are, but general.file_type and general.quantization_version; sluice.requantized_from tells
// where quality was lost before. Throws Error for what cannot be read or written, for weights that are quantized
// already unless options.requantize, and for weights that are not finite or too large for F16.
QuantizeReport quantize_model(const std::filesystem::path& in, const std::filesystem::path& out,
                              const QuantizeOptions& options, ThreadPool& pool);

}  // namespace sluice
