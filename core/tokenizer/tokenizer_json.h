// The parts of tokenizer.json that decide how text is cut: normalizer, pre-tokenizer and post-processor. Their
// structure is recognized and becomes fields of the Vocabulary; what is not recognized is refused by name.
#pragma once

#include "core/tokenizer/json_node.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

// Sets model, pre, normalize_nfc and the space prefix.
void read_cutting(const JsonNode& root, Vocabulary& vocabulary);
// Sets add_bos and add_eos, and bos and eos if the tokens are filled in and name them.
void read_post_processor(const JsonNode& root, Vocabulary& vocabulary);

}  // namespace sluice
