// See weights.h: which tensors of the file are which weights, and their way to the backend.
#include "core/model/weights.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "sluice/gguf_types.h"

namespace sluice {

Weights::Weights(const Instance& backend, ModelFile& file, const std::function<void(uint64_t, uint64_t)>& progress)
    : backend_(backend), file_(file), owned_(backend) {
  uint64_t total = 0;
  for (const Tensor& t : file.tensors()) total += t.bytes;
  auto weight = [&](const std::string& name) {
    const sluice_weight* w = upload(file.tensor(name));
    if (progress) progress(file_bytes_, total);
    return w;
  };
  auto bias = [&](const std::string& name) -> sluice_mat {
    const Tensor* t = file.find(name);
    if (!t) return {};
    std::vector<float> values(t->cols);
    sluice_gguf_dequantize(t->type, t->data, t->cols, values.data());
    file_bytes_ += t->bytes;
    return {upload_row(values.data(), uint32_t(t->cols)), 1, uint32_t(t->cols)};
  };
  embedding = weight("token_embd.weight");
  embedding_bytes_ = read_bytes_;
  for (uint32_t l = 0; l < file.hyper().layers; l++) {
    const std::string block = fmt::format("blk.{}.", l);
    LayerWeights w{};
    w.attn_norm = weight(block + "attn_norm.weight");
    w.q = weight(block + "attn_q.weight"), w.q_bias = bias(block + "attn_q.bias");
    w.k = weight(block + "attn_k.weight"), w.k_bias = bias(block + "attn_k.bias");
    w.v = weight(block + "attn_v.weight"), w.v_bias = bias(block + "attn_v.bias");
    w.o = weight(block + "attn_output.weight");
    w.ffn_norm = weight(block + "ffn_norm.weight");
    w.gate = weight(block + "ffn_gate.weight");
    w.up = weight(block + "ffn_up.weight");
    w.down = weight(block + "ffn_down.weight");
    layers.push_back(w);
  }
  output_norm = weight("output_norm.weight");
  output = file.hyper().tied_embeddings ? embedding : weight("output.weight");
  const auto& frequency = file.hyper().rope_frequency;
  rope_frequency = upload_row(frequency.data(), uint32_t(frequency.size()));
}

Weights::Owned::~Owned() {
  const auto& table = backend.table<sluice_backend>();
  for (sluice_weight* w : weights)
    if (w) backend.call("weight_destroy", table.weight_destroy, w);
  for (void* b : buffers)
    if (b) backend.call("buffer_destroy", table.buffer_destroy, b);
}

const sluice_weight* Weights::upload(const Tensor& tensor) {
  const auto& table = backend_.table<sluice_backend>();
  if (!table.weight_type(backend_.self(), tensor.type))
    throw Error(fmt::format("{}: backend {} cannot hold tensor {} of type {}", file_.path().string(),
                            backend_.module().name, tensor.name, tensor.stored_as));
  sluice_weight*& w = owned_.weights.emplace_back(nullptr);
  backend_.call("weight_create", table.weight_create, tensor.type, uint32_t(tensor.rows), uint32_t(tensor.cols),
                tensor.data, tensor.bytes, &w);
  const uint64_t held = table.weight_bytes(backend_.self(), w);
  bytes_ += held;
  file_bytes_ += tensor.bytes;
  read_bytes_ += held ? held : tensor.bytes;
  if (held) file_.drop_data(tensor);  // the backend has a copy
  return w;
}

float* Weights::upload_row(const float* values, uint32_t n) {
  const auto& table = backend_.table<sluice_backend>();
  void*& address = owned_.buffers.emplace_back(nullptr);
  backend_.call("buffer_create", table.buffer_create, SLUICE_USE_WEIGHTS, n * sizeof(float), &address);
  sluice_queue* queue = nullptr;
  backend_.call("queue_create", table.queue_create, 1u, &queue);
  sluice_status status = table.write(backend_.self(), queue, address, values, n * sizeof(float));
  if (status == SLUICE_OK) status = table.wait(backend_.self(), queue);
  table.queue_destroy(backend_.self(), queue);
  backend_.check(status, "write");
  bytes_ += n * sizeof(float), read_bytes_ += n * sizeof(float);
  return static_cast<float*>(address);
}

}  // namespace sluice
