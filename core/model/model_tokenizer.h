// The tokenizer of a model: what its vocabulary says becomes tables, and what does not fit is refused under the
// model's name.
#pragma once

#include <memory>

#include "core/model/model_file.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice {

// Error naming the model where merges or pieces contradict the vocabulary, or the pre-tokenizer is not known.
std::unique_ptr<Tokenizer> make_tokenizer(const ModelFile& model);

}  // namespace sluice
