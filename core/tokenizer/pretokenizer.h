// How byte-level BPE cuts text into words before it merges: the published regular expressions of GPT-2,
// Llama-3, Qwen2 and SmolLM2, scanned by hand. Words cover the text without gaps.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice {

enum class PreTokenizer { kGpt2, kLlama3, kQwen2, kSmolLm };

// By the name that GGUF's tokenizer.ggml.pre uses. Throws Error naming it and the known ones.
PreTokenizer pre_tokenizer_of(std::string_view name);
// The end of the word that begins at byte `begin` (< text.size()).
size_t word_end(PreTokenizer kind, std::string_view text, size_t begin);

}  // namespace sluice
