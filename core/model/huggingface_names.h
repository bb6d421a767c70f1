// The same tensors under two names: Hugging Face's and GGUF's.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; empty if it is none of a Llama's.
std::string gguf_name(std::string_view huggingface_name);
// The way back; the name itself if there is none.
std::string huggingface_name(std::string_view gguf_name);
// Buffers that some exports carry along and nobody reads.
bool is_ignored(std::string_view huggingface_name);

}  // namespace sluice
