// See tensor_layout.h.
#include "core/model/tensor_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/text.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

enum class Size { kOne, kWidth, kFfn, kQuery, kKeyValue, kVocab };
enum class Presence { kRequired, kOptional, kWithBias };

struct Part {
  std::string_view name;
  Size rows, cols;
  Presence presence = Presence::kRequired;
};

constexpr Part kModelParts[] = {{"token_embd.weight", Size::kVocab, Size::kWidth},
                                {"output_norm.weight", Size::kOne, Size::kWidth},
                                {"output.weight", Size::kVocab, Size::kWidth, Presence::kOptional}};
// Of every layer, behind "blk.N.".
constexpr Part kLayerParts[] = {{"attn_norm.weight", Size::kOne, Size::kWidth},
                                {"attn_q.weight", Size::kQuery, Size::kWidth},
                                {"attn_k.weight", Size::kKeyValue, Size::kWidth},
                                {"attn_v.weight", Size::kKeyValue, Size::kWidth},
                                {"attn_output.weight", Size::kWidth, Size::kQuery},
                                {"ffn_norm.weight", Size::kOne, Size::kWidth},
                                {"ffn_gate.weight", Size::kFfn, Size::kWidth},
                                {"ffn_up.weight", Size::kFfn, Size::kWidth},
                                {"ffn_down.weight", Size::kWidth, Size::kFfn},
                                {"attn_q.bias", Size::kOne, Size::kQuery, Presence::kWithBias},
                                {"attn_k.bias", Size::kOne, Size::kKeyValue, Presence::kWithBias},
                                {"attn_v.bias", Size::kOne, Size::kKeyValue, Presence::kWithBias}};

uint64_t size_of(Size size, const Hyperparameters& hyper) {
  switch (size) {
    case Size::kOne:
      return 1;
    case Size::kWidth:
      return hyper.width;
    case Size::kFfn:
      return hyper.ffn_width;
    case Size::kQuery:
      return uint64_t(hyper.heads) * hyper.head_dim;
    case Size::kKeyValue:
      return uint64_t(hyper.kv_heads) * hyper.head_dim;
    case Size::kVocab:
      return hyper.vocab;
  }
  return 0;
}

// "blk.12.attn_q.weight" -> 12 and "attn_q.weight"
struct LayerName {
  uint64_t layer;
  std::string_view part;
};

std::optional<LayerName> parse_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  name.remove_prefix(4);
  uint64_t layer = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const size_t digits = size_t(end - name.data());
  if (failed != std::errc() || digits + 1 >= name.size() || name[digits] != '.') return std::nullopt;
  if (digits > 1 && name[0] == '0') return std::nullopt;  // "blk.00." would be a second name of layer 0
  return LayerName{layer, name.substr(digits + 1)};
}

const Part* find_part(std::span<const Part> parts, std::string_view name) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return part.name == name; });
  return found == parts.end() ? nullptr : &*found;
}

class Check {
 public:
  Check(const std::string& where, StoredName stored_name, const Hyperparameters& hyper)
      : where_(where), stored_name_(stored_name), hyper_(hyper) {}

  [[noreturn]] void fail(std::string_view name, std::string_view message) const {
    throw Error(fmt::format("{}: tensor \"{}\": {}", where_, printable(stored_name_(name)), message));
  }

  void tensor(const Tensor& tensor) const {
    const std::optional<LayerName> layer = parse_layer(tensor.name);
    const Part* const part = layer ? find_part(kLayerParts, layer->part) : find_part(kModelParts, tensor.name);
    if (!part)
      fail(tensor.name,
           fmt::format("is not part of a {} model: this variant of it is not supported", hyper_.architecture));
    if (layer && layer->layer >= hyper_.layers)
      fail(tensor.name, fmt::format("belongs to layer {}, but the model says it has {} layers (0 to {})", layer->layer,
                                    hyper_.layers, hyper_.layers - 1));
    const uint64_t rows = size_of(part->rows, hyper_), cols = size_of(part->cols, hyper_);
    if (tensor.rows != rows || tensor.cols != cols)
      fail(tensor.name, fmt::format("is [{} x {}] (rows x columns), expected [{} x {}] by the model's hyperparameters",
                                    tensor.rows, tensor.cols, rows, cols));
    const bool plain =
        tensor.type == SLUICE_GGUF_F32 || tensor.type == SLUICE_GGUF_F16 || tensor.type == SLUICE_GGUF_BF16;
    if (part->rows == Size::kOne && !plain)
      fail(tensor.name, fmt::format("is a vector of type {}, expected F32, F16 or BF16", tensor.stored_as));
  }

 private:
  const std::string& where_;
  StoredName stored_name_;
  const Hyperparameters& hyper_;
};

}  // namespace

void check_layout(const std::string& where, const std::vector<Tensor>& tensors, StoredName stored_name,
                  Hyperparameters& hyper) {
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const Tensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  const auto present = [&](const std::string& name) { return by_name.contains(name); };
  const Check check(where, stored_name, hyper);
  const auto require = [&](const std::string& name) {
    if (!present(name)) check.fail(name, "is missing");
  };

  require("token_embd.weight");
  const uint64_t vocab = by_name.at("token_embd.weight")->rows;
  if (vocab > uint64_t(INT32_MAX))
    check.fail("token_embd.weight", fmt::format("has {} rows, more than there are token ids", vocab));
  hyper.vocab = uint32_t(vocab);
  hyper.tied_embeddings = !present("output.weight");
  hyper.qkv_bias = present("blk.0.attn_q.bias");
  for (const Tensor& tensor : tensors) check.tensor(tensor);
  for (const Part& part : kModelParts)
    if (part.presence == Presence::kRequired) require(std::string(part.name));
  // Ends at the first missing tensor, so a lying number of layers costs nothing.
  for (uint32_t layer = 0; layer < hyper.layers; layer++)
    for (const Part& part : kLayerParts)
      if (part.presence == Presence::kRequired || (part.presence == Presence::kWithBias && hyper.qkv_bias))
        require(fmt::format("blk.{}.{}", layer, part.name));
  if (!hyper.qkv_bias)
    for (const Tensor& tensor : tensors)
      if (tensor.name.ends_with(".bias")) check.fail(tensor.name, "is a bias, but tensor blk.0.attn_q.bias is missing");
}

void check_hyperparameters(const std::string& where, const Hyperparameters& hyper) {
  const auto fail = [&](const std::string& message) { throw Error(fmt::format("{}: {}", where, message)); };
  struct Number {
    std::string_view name;
    uint32_t value;
  };
  for (const Number& number : {Number{"number of layers", hyper.layers}, Number{"width", hyper.width},
                               Number{"feed-forward width", hyper.ffn_width}, Number{"number of heads", hyper.heads},
                               Number{"number of KV heads", hyper.kv_heads}, Number{"head size", hyper.head_dim},
                               Number{"context length", hyper.context}})
    if (number.value == 0) fail(fmt::format("the {} is 0, expected at least 1", number.name));
  if (hyper.heads % hyper.kv_heads != 0)
    fail(fmt::format("{} heads cannot share {} KV heads evenly", hyper.heads, hyper.kv_heads));
  if (hyper.head_dim % 2 != 0)
    fail(fmt::format("the head size is {}, expected an even number: RoPE turns pairs", hyper.head_dim));
  if (!(hyper.rms_epsilon > 0) || !std::isfinite(hyper.rms_epsilon))
    fail(fmt::format("the epsilon of RMS norms is {}, expected a small positive number", hyper.rms_epsilon));
  if (!(hyper.rope_theta >= 1) || !std::isfinite(hyper.rope_theta))
    fail(fmt::format("RoPE's base is {}, expected at least 1", hyper.rope_theta));
}

}  // namespace sluice
