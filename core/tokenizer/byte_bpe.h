// Byte-level BPE (GPT-2, Llama-3, SmolLM2, Qwen2): plain text, already free of special tokens, to ids and the bytes
// of a token. Tokens are stored as printable characters, one for each byte.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tokenizer/merges.h"
#include "core/tokenizer/pretokenizer.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

class ByteBpe {
 public:
  explicit ByteBpe(const Vocabulary& vocabulary);
  // Appends the ids of `text`. Bytes for which the vocabulary has no token are left out.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;
  // The bytes that a stored token stands for; as it is if it is not in the byte form throughout.
  static std::string bytes_of(std::string_view token);

 private:
  struct ViewHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  void encode_word(std::string_view word, Merger::Scratch& scratch, std::vector<uint32_t>& symbols,
                   std::vector<uint32_t>& out) const;

  PreTokenizer pre_;
  bool normalize_nfc_ = false;
  std::array<int32_t, 256> byte_ids_;                                           // [byte] -1 where there is no token
  std::unordered_map<std::string, uint32_t, ViewHash, std::equal_to<>> whole_;  // words taken whole, by their bytes
  Merger merger_;
};

}  // namespace sluice
