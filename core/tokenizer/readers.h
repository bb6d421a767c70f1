// Readers of the two tokenizer files that are not GGUF: Hugging Face's tokenizer.json and SentencePiece's
// tokenizer.model. GGUF metadata is read in core/model; what the vocabulary then does is tokenizer.h.
#pragma once

#include <filesystem>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

// tokenizer.json of `folder`, with what tokenizer_config.json, special_tokens_map.json and
// generation_config.json beside it say about BOS, EOS, unknown, padding and the chat template.
// Throws Error naming file and place where it is damaged or uses a part that is not supported.
Vocabulary read_tokenizer_json(const std::filesystem::path& folder);

// A SentencePiece model file (protocol buffer) of the BPE type. If tokenizer_config.json or
// generation_config.json lie beside it, they are honoured as above.
Vocabulary read_sentencepiece(const std::filesystem::path& file);

}  // namespace sluice
