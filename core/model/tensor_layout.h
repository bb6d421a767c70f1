// Which tensors a Llama-family model consists of and what shape each must have, under GGUF's names. Both file
// formats are held against this one list before anything is computed with them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/model/model_file.h"

namespace sluice {

// The name that the file uses for a tensor that GGUF calls `name`; for messages.
using StoredName = std::string (*)(std::string_view name);

// Throws Error, beginning with `where`, unless `tensors` are exactly those of the model that `hyper` describes:
// none missing, none unknown, none of layers beyond, shapes and types right. Fills in vocab, tied_embeddings and
// qkv_bias, which the tensors tell.
void check_layout(const std::string& where, const std::vector<Tensor>& tensors, StoredName stored_name,
                  Hyperparameters& hyper);

// Error unless the numbers of `hyper` that come from the file's metadata make sense together.
void check_hyperparameters(const std::string& where, const Hyperparameters& hyper);

}  // namespace sluice
