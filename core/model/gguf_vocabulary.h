// The tokenizer that a GGUF file's metadata describe, as a Vocabulary.
#pragma once

#include <filesystem>

#include "core/model/gguf.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

// Error naming the key when something is missing, of a wrong type, inconsistent, or a kind that is not supported.
Vocabulary read_vocabulary(const GgufFile& file);
// Just the vocabulary of a GGUF file, which need not hold a model of a supported architecture, nor any tensors.
Vocabulary read_gguf_vocabulary(const std::filesystem::path& path);

}  // namespace sluice
