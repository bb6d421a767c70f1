// The small files beside a tokenizer: tokenizer_config.json, special_tokens_map.json, generation_config.json and
// chat_template.jinja. Both readers end with them.
#pragma once

#include <filesystem>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

// Fills in BOS, EOS, unknown, padding, whether they are added, what ends a generation and the chat template, as
// far as the files are there and say so. Throws Error naming file and key.
void read_tokenizer_config(const std::filesystem::path& folder, Vocabulary& vocabulary);

}  // namespace sluice
