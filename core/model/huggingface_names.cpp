// See huggingface_names.h.
#include "core/model/huggingface_names.h"

#include <algorithm>

namespace sluice {
namespace {

struct Pair {
  std::string_view huggingface, gguf;
};

constexpr Pair kModel[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                           {"model.norm.weight", "output_norm.weight"},
                           {"lm_head.weight", "output.weight"}};
constexpr Pair kLayer[] = {{"input_layernorm.weight", "attn_norm.weight"},
                           {"self_attn.q_proj.weight", "attn_q.weight"},
                           {"self_attn.k_proj.weight", "attn_k.weight"},
                           {"self_attn.v_proj.weight", "attn_v.weight"},
                           {"self_attn.q_proj.bias", "attn_q.bias"},
                           {"self_attn.k_proj.bias", "attn_k.bias"},
                           {"self_attn.v_proj.bias", "attn_v.bias"},
                           {"self_attn.o_proj.weight", "attn_output.weight"},
                           {"post_attention_layernorm.weight", "ffn_norm.weight"},
                           {"mlp.gate_proj.weight", "ffn_gate.weight"},
                           {"mlp.up_proj.weight", "ffn_up.weight"},
                           {"mlp.down_proj.weight", "ffn_down.weight"}};
constexpr std::string_view kHuggingFaceLayer = "model.layers.", kGgufLayer = "blk.";

// PREFIX N . PART under one naming becomes the same under the other; empty if it is not of this form.
std::string translate_layer(std::string_view name, std::string_view from, std::string_view to,
                            std::string_view Pair::*known, std::string_view Pair::*wanted) {
  if (!name.starts_with(from)) return "";
  name.remove_prefix(from.size());
  const size_t dot = name.find('.');
  const std::string_view number = name.substr(0, dot);
  const bool digits =
      !number.empty() && std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (dot == name.npos || !digits) return "";
  for (const Pair& pair : kLayer)
    if (pair.*known == name.substr(dot + 1)) {
      std::string result(to);
      return result.append(number).append(".").append(pair.*wanted);
    }
  return "";
}

}  // namespace

std::string gguf_name(std::string_view name) {
  for (const Pair& pair : kModel)
    if (pair.huggingface == name) return std::string(pair.gguf);
  return translate_layer(name, kHuggingFaceLayer, kGgufLayer, &Pair::huggingface, &Pair::gguf);
}

std::string huggingface_name(std::string_view name) {
  for (const Pair& pair : kModel)
    if (pair.gguf == name) return std::string(pair.huggingface);
  const std::string translated = translate_layer(name, kGgufLayer, kHuggingFaceLayer, &Pair::gguf, &Pair::huggingface);
  return translated.empty() ? std::string(name) : translated;
}

bool is_ignored(std::string_view name) { return name.ends_with("rotary_emb.inv_freq"); }

}  // namespace sluice
