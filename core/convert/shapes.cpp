// See shapes.h. The numbers are those of the models' published config.json files.
#include "core/convert/shapes.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/rope_scaling.h"

namespace sluice {
namespace {

struct Shape {
  std::string_view name, architecture;
  uint32_t layers, width, ffn_width, heads, kv_heads, vocab, context;
  float rope_theta, rms_epsilon;
  bool tied, qkv_bias;
};

constexpr Shape kShapes[] = {
    {"llama2-7b", "llama", 32, 4096, 11008, 32, 32, 32000, 4096, 1e4f, 1e-5f, false, false},
    {"llama2-13b", "llama", 40, 5120, 13824, 40, 40, 32000, 4096, 1e4f, 1e-5f, false, false},
    {"llama3-8b", "llama", 32, 4096, 14336, 32, 8, 128256, 8192, 5e5f, 1e-5f, false, false},
    {"mistral-7b", "llama", 32, 4096, 14336, 32, 8, 32000, 32768, 1e6f, 1e-5f, false, false},  // v0.2: no window
    {"tinyllama-1.1b", "llama", 22, 2048, 5632, 32, 4, 32000, 2048, 1e4f, 1e-5f, false, false},
    {"smollm2-135m", "llama", 30, 576, 1536, 9, 3, 49152, 8192, 1e5f, 1e-5f, true, false},
    {"qwen2-0.5b", "qwen2", 24, 896, 4864, 14, 2, 151936, 32768, 1e6f, 1e-6f, true, true},
};

}  // namespace

std::vector<std::string_view> model_shape_names() {
  std::vector<std::string_view> names;
  for (const Shape& shape : kShapes) names.push_back(shape.name);
  return names;
}

Hyperparameters model_shape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name != name) continue;
    Hyperparameters hyper;
    hyper.architecture = shape.architecture;
    hyper.name = shape.name;
    hyper.layers = shape.layers, hyper.width = shape.width, hyper.ffn_width = shape.ffn_width;
    hyper.heads = shape.heads, hyper.kv_heads = shape.kv_heads, hyper.head_dim = shape.width / shape.heads;
    hyper.vocab = shape.vocab, hyper.context = shape.context;
    hyper.rms_epsilon = shape.rms_epsilon, hyper.rope_theta = shape.rope_theta;
    hyper.rope_frequency = rope_frequencies(hyper.rope_theta, hyper.head_dim, {});
    hyper.rope_scaling = "none";
    hyper.tied_embeddings = shape.tied, hyper.qkv_bias = shape.qkv_bias;
    return hyper;
  }
  const auto names = model_shape_names();
  throw Error(
      fmt::format("there is no shape \"{}\"{}; there are {}", printable(name), did_you_mean(name, names), join(names)));
}

std::vector<TensorShape> tensor_shapes(const Hyperparameters& hyper) {
  using enum TensorRole;
  const uint64_t width = hyper.width, ffn = hyper.ffn_width;
  const uint64_t q = uint64_t(hyper.heads) * hyper.head_dim, kv = uint64_t(hyper.kv_heads) * hyper.head_dim;
  std::vector<TensorShape> tensors = {{"token_embd.weight", hyper.vocab, width}};
  for (uint32_t layer = 0; layer < hyper.layers; ++layer) {
    const auto add = [&](std::string_view part, uint64_t rows, uint64_t cols, TensorRole role = kMatrix) {
      tensors.push_back({fmt::format("blk.{}.{}", layer, part), rows, cols, role});
    };
    add("attn_norm.weight", 1, width, kNorm);
    add("attn_q.weight", q, width);
    add("attn_k.weight", kv, width);
    add("attn_v.weight", kv, width);
    if (hyper.qkv_bias) {
      add("attn_q.bias", 1, q, kBias);
      add("attn_k.bias", 1, kv, kBias);
      add("attn_v.bias", 1, kv, kBias);
    }
    add("attn_output.weight", width, q, kResidual);
    add("ffn_norm.weight", 1, width, kNorm);
    add("ffn_gate.weight", ffn, width);
    add("ffn_up.weight", ffn, width);
    add("ffn_down.weight", width, ffn, kResidual);
  }
  tensors.push_back({"output_norm.weight", 1, width, kNorm});
  if (!hyper.tied_embeddings) tensors.push_back({"output.weight", hyper.vocab, width});
  return tensors;
}

}  // namespace sluice
