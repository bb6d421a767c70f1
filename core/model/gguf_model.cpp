// See gguf_model.h. Refuses by name what it cannot compute: other architectures, mixtures of experts, kinds of
// RoPE scaling, and keys that change what a layer does.
#include "core/model/gguf_model.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/gguf_vocabulary.h"
#include "core/model/rope_scaling.h"
#include "core/model/tensor_layout.h"
#include "core/model/vocabulary_size.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"llama", "qwen2"};
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

// Keys behind "llama." and the like.
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  std::string name(std::string_view key) const { return std::string(prefix_).append(key); }
  const GgufEntry* find(std::string_view key) const { return file_.find(name(key)); }
  std::optional<uint32_t> integer(std::string_view key) const { return file_.unsigned_value(name(key)); }
  std::optional<double> number(std::string_view key) const { return file_.number(name(key)); }
  std::optional<std::string_view> text(std::string_view key) const { return file_.text(name(key)); }
  template <class T>
  T need(std::optional<T> value, std::string_view key) const {
    if (!value)
      throw Error(fmt::format("{}: has no key \"{}\", which every such model needs", file_.path().string(), name(key)));
    return *value;
  }
  uint32_t need_integer(std::string_view key) const { return need(integer(key), key); }
  [[noreturn]] void fail(std::string_view key, std::string_view message) const { file_.fail(*find(key), message); }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

std::string read_architecture(const GgufFile& file) {
  constexpr std::string_view kKey = "general.architecture";
  const std::optional<std::string_view> name = file.text(kKey);
  if (!name) throw Error(fmt::format("{}: has no key \"{}\": this is no model", file.path().string(), kKey));
  for (const std::string_view known : kArchitectures)
    if (*name == known) return std::string(known);
  file.fail(*file.find(kKey), fmt::format("is \"{}\", which is not supported; supported: {}{}", printable(*name),
                                          join(kArchitectures), did_you_mean(*name, kArchitectures)));
}

void refuse_other_models(const Keys& keys) {
  const GgufFile& file = keys.file();
  if (file.unsigned_value("split.count").value_or(1) > 1)
    file.fail(*file.find("split.count"),
              "the model is split over several files, which is not supported: merge them first");
  if (keys.integer("expert_count").value_or(0) > 0)
    keys.fail("expert_count", "the model is a mixture of experts, which is not supported");
  // Of other members of the family: their layers compute something else.
  for (const std::string_view key : {"attention.clamp_kqv", "attention.max_alibi_bias", "attention.scale",
                                     "logit_scale", "residual_scale", "embedding_scale"})
    if (const std::optional<double> value = keys.number(key); value && *value != 0)
      keys.fail(key, fmt::format("is {}: models with it are not supported", *value));
}

Hyperparameters read_hyperparameters(const Keys& keys, const std::string& architecture) {
  Hyperparameters hyper;
  hyper.architecture = architecture;
  hyper.name = keys.file().text("general.name").value_or("");
  hyper.layers = keys.need_integer("block_count");
  hyper.context = keys.need_integer("context_length");
  hyper.width = keys.need_integer("embedding_length");
  hyper.ffn_width = keys.need_integer("feed_forward_length");
  hyper.heads = keys.need_integer("attention.head_count");
  hyper.kv_heads = keys.integer("attention.head_count_kv").value_or(hyper.heads);
  hyper.rms_epsilon =
      float(keys.need(keys.number("attention.layer_norm_rms_epsilon"), "attention.layer_norm_rms_epsilon"));
  hyper.rope_theta = float(keys.number("rope.freq_base").value_or(10000));
  hyper.sliding_window = keys.integer("attention.sliding_window").value_or(0);

  const std::optional<uint32_t> key_length = keys.integer("attention.key_length");
  if (!key_length && hyper.heads > 0 && hyper.width % hyper.heads != 0)
    keys.fail("attention.head_count",
              fmt::format("is {}, which does not divide the width {}", hyper.heads, hyper.width));
  hyper.head_dim = key_length ? *key_length : hyper.heads > 0 ? hyper.width / hyper.heads : 0;
  check_hyperparameters(keys.file().path().string(), hyper);
  for (const std::string_view key : {"attention.value_length", "rope.dimension_count"})
    if (const uint32_t length = keys.integer(key).value_or(hyper.head_dim); length != hyper.head_dim)
      keys.fail(key, fmt::format("is {}, but the head size is {}: models where they differ are not supported", length,
                                 hyper.head_dim));
  return hyper;
}

// rope_freqs.weight, F32 [head_dim / 2]
std::vector<float> read_rope_factors(const GgufFile& file, const GgufTensor& tensor, uint32_t head_dim) {
  const auto fail = [&](const std::string& message) {
    throw Error(fmt::format("{}: tensor \"{}\": {}", file.path().string(), kRopeFactors, message));
  };
  if (tensor.type != SLUICE_GGUF_F32 || tensor.shape[0] != head_dim / 2 || tensor.bytes != head_dim / 2 * sizeof(float))
    fail(fmt::format("has type {} and rows of {}, expected one row of {} numbers of type F32",
                     sluice_gguf_type_info(tensor.type)->name, tensor.shape[0], head_dim / 2));
  std::vector<float> factors(head_dim / 2);
  std::memcpy(factors.data(), file.data(tensor).data(), tensor.bytes);
  for (const float factor : factors)
    if (!(factor > 0) || !std::isfinite(factor))
      fail(fmt::format("holds the factor {}, expected positive numbers", factor));
  return factors;
}

RopeScaling read_rope_scaling(const Keys& keys, uint32_t head_dim) {
  RopeScaling scaling;
  const GgufFile& file = keys.file();
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name != kRopeFactors) continue;
    scaling.factors = read_rope_factors(file, tensor, head_dim);
    scaling.kind = RopeScaling::Kind::kFactors;
  }
  const std::string_view type = keys.text("rope.scaling.type").value_or("linear");
  const bool legacy = !keys.find("rope.scaling.factor");
  const std::string_view factor_key = legacy ? "rope.scale_linear" : "rope.scaling.factor";
  const double factor = keys.number(factor_key).value_or(1);
  if (type == "none" || (type == "linear" && factor == 1)) return scaling;
  if (type != "linear")
    keys.fail("rope.scaling.type",
              fmt::format("is \"{}\", which is not supported; supported: none, linear, and Llama 3's "
                          "factors in tensor {}",
                          printable(type), kRopeFactors));
  if (!(factor > 0)) keys.fail(factor_key, fmt::format("is {}, expected a positive number", factor));
  if (!scaling.factors.empty())
    keys.fail(factor_key, fmt::format("is {} beside tensor {}: only one can hold", factor, kRopeFactors));
  scaling.kind = RopeScaling::Kind::kLinear;
  scaling.factor = factor;
  return scaling;
}

Tensor make_tensor(const GgufFile& file, const GgufTensor& stored) {
  Tensor tensor;
  tensor.name = stored.name;
  tensor.type = stored.type;
  tensor.stored_as = sluice_gguf_type_info(stored.type)->name;
  tensor.cols = stored.shape[0];
  tensor.rows = stored.shape[1];
  if (stored.shape[2] != 1 || stored.shape[3] != 1)
    throw Error(fmt::format("{}: tensor \"{}\": has {} dimensions, expected a matrix or a vector", file.path().string(),
                            printable(stored.name), stored.dims));
  tensor.data = file.data(stored).data();
  tensor.bytes = stored.bytes;
  tensor.offset = stored.offset;
  return tensor;
}

}  // namespace

GgufModel::GgufModel(const std::filesystem::path& path) : file_(path) {
  path_ = path;
  format_ = fmt::format("GGUF v{}", file_.version());
  const std::string where = path.string();
  const std::string architecture = read_architecture(file_);
  const Keys keys(file_, architecture);
  refuse_other_models(keys);
  if (file_.tensors().empty()) throw Error(fmt::format("{}: has no tensors: this file holds a vocabulary only", where));
  hyper_ = read_hyperparameters(keys, architecture);
  for (const GgufTensor& stored : file_.tensors())
    if (stored.name != kRopeFactors) tensors_.push_back(make_tensor(file_, stored));
  check_layout(
      where, tensors_, [](std::string_view name) { return std::string(name); }, hyper_);

  vocabulary_ = read_vocabulary(file_);
  fit_vocabulary(vocabulary_, hyper_.vocab, where);
  const RopeScaling scaling = read_rope_scaling(keys, hyper_.head_dim);
  hyper_.rope_frequency = rope_frequencies(hyper_.rope_theta, hyper_.head_dim, scaling);
  hyper_.rope_scaling = describe(scaling);

  // Files of qwen2 keep the order of Hugging Face; those of llama were reordered when they were made.
  const bool halves = architecture == "qwen2";
  for (Tensor& tensor : tensors_) {
    vector_to_f32(tensor, owned_);
    const bool query = tensor.name.ends_with(".attn_q.weight") || tensor.name.ends_with(".attn_q.bias");
    const bool key = tensor.name.ends_with(".attn_k.weight") || tensor.name.ends_with(".attn_k.bias");
    if (!halves || (!query && !key)) continue;
    const uint64_t stored_bytes = tensor.bytes;
    pair_neighbours(tensor, query ? hyper_.heads : hyper_.kv_heads, hyper_.head_dim, owned_);
    file_.file().drop_range(tensor.offset, stored_bytes);
  }
  for (const GgufEntry& entry : file_.entries())
    metadata_.push_back({printable(entry.key, 120), entry.type_name(), describe_value(entry)});
}

void GgufModel::drop_data(const Tensor& tensor) {
  owned_.drop(tensor.data);
  file_.file().drop_range(tensor.offset, tensor.bytes);
}

}  // namespace sluice
