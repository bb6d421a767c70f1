// A model's description as GGUF metadata, for models that did not come from a GGUF file.
#pragma once

#include <span>
#include <vector>

#include "core/model/gguf_writer.h"
#include "core/model/model_file.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

// Keys of the architecture and of the vocabulary; not general.file_type. A vocabulary of characters and merges
// (kMergeBpe) has no form of its own in GGUF: it is stored as SentencePiece, each token scored by the rank of the first
// merge that makes it, which is where such files came from.
void set_metadata(GgufWriter& writer, const Hyperparameters& hyper, const Vocabulary& vocabulary);

// [head_dim / 2] divisors of the plain frequencies that the tensor rope_freqs.weight must hold; empty if none is
// needed, because there is no scaling or set_metadata() says all about it.
std::vector<float> rope_factors(const Hyperparameters& hyper);

}  // namespace sluice
