// A model's weights on a backend, by the names the graph uses.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/model/model_file.h"
#include "core/plugins/registry.h"

namespace sluice {

struct LayerWeights {
  const sluice_weight *attn_norm, *q, *k, *v, *o;  // o: attn_output
  sluice_mat q_bias, k_bias, v_bias;               // one row on the device; data NULL where there is none
  const sluice_weight *ffn_norm, *gate, *up, *down;
};

class Weights {
 public:
  // Uploads tensor by tensor and lets the file's pages go. `progress(done, total)` in bytes may be empty. Throws
  // Error for types the backend cannot hold and for sizes beyond its memory.
  Weights(const Instance& backend, ModelFile& file, const std::function<void(uint64_t, uint64_t)>& progress);
  Weights(const Weights&) = delete;

  const sluice_weight* embedding = nullptr;
  const sluice_weight* output_norm = nullptr;
  const sluice_weight* output = nullptr;  // the embedding's where they are tied
  std::vector<LayerWeights> layers;
  const float* rope_frequency = nullptr;     // [head_dim / 2] on the device
  uint64_t bytes() const { return bytes_; }  // on the device
  uint64_t file_bytes() const { return file_bytes_; }
  // What a pass over all weights reads, and over the embedding alone: the device's copy, or the file where the backend
  // works in it.
  uint64_t read_bytes() const { return read_bytes_; }
  uint64_t embedding_bytes() const { return embedding_bytes_; }

 private:
  // What was made on the backend: a member, so that it is given back when the constructor throws.
  struct Owned {
    const Instance& backend;
    std::vector<sluice_weight*> weights;
    std::vector<void*> buffers;
    explicit Owned(const Instance& backend) : backend(backend) {}
    Owned(const Owned&) = delete;
    ~Owned();
  };
  const sluice_weight* upload(const Tensor& tensor);
  float* upload_row(const float* values, uint32_t n);
  const Instance& backend_;
  ModelFile& file_;
  Owned owned_;
  uint64_t bytes_ = 0, file_bytes_ = 0, read_bytes_ = 0, embedding_bytes_ = 0;
};

}  // namespace sluice
