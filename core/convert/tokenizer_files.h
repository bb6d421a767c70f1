// Vocabularies for synthetic models: read from whichever file holds one, or made up; and written for Hugging Face
// folders.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

// A GGUF file, a tokenizer.json, a SentencePiece tokenizer.model, or a folder with one of the latter two.
Vocabulary read_any_vocabulary(const std::filesystem::path& path);

// SentencePiece with byte fallback, so that any text can be encoded: <unk> <s> </s>, the bytes, letters, and made-up
// words of which each is a shorter one and a letter. tokens >= 300.
Vocabulary made_up_vocabulary(uint32_t tokens);

// Puts a tokenizer into `folder`: the files themselves if `source` is one, otherwise a tokenizer.model made of
// `vocabulary`. Error if neither can be done. `source` may be empty.
void write_tokenizer(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                     const std::filesystem::path& source);

}  // namespace sluice
