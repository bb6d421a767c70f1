// What a program does with a model that was read, as far as the file's contents decide it: every byte is touched, and
// text goes through its tokenizer.
#pragma once

#include <cstdint>
#include <string>

#include "core/model/model_file.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice::fuzz {

inline void use_vocabulary(const Vocabulary& vocabulary) {
  const Tokenizer tokenizer(vocabulary);
  std::string text = "Hello  world, it's 2026\n\u00e9\u4e2d\xFF";
  for (size_t id = 0; id < vocabulary.tokens.size() && text.size() < 2048; id++)
    text += vocabulary.tokens[id].substr(0, 64);
  for (const bool special : {false, true}) {
    const std::vector<int32_t> ids = tokenizer.encode_prompt(text, special);
    tokenizer.decode(ids, special);
    for (const int32_t id : ids) tokenizer.ends_generation(id);
  }
}

inline uint64_t use_model(const ModelFile& file) {
  uint64_t sum = 0;
  for (const Tensor& tensor : file.tensors())
    for (uint64_t i = 0; i < tensor.bytes; i++) sum += static_cast<const uint8_t*>(tensor.data)[i];
  for (const Metadata& entry : file.metadata()) sum += entry.key.size() + entry.type.size() + entry.value.size();
  for (const float frequency : file.hyper().rope_frequency) sum += frequency > 0;
  use_vocabulary(file.vocabulary());
  return sum;
}

}  // namespace sluice::fuzz
