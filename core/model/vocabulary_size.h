// Makes a vocabulary as long as the model's embedding table, which often has rows to spare.
#pragma once

#include <cstdint>
#include <string>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

// Adds unused tokens "[PADid]" up to `rows`. Error, beginning with `where`, if there are more tokens than rows.
void fit_vocabulary(Vocabulary& vocabulary, uint32_t rows, const std::string& where);

}  // namespace sluice
