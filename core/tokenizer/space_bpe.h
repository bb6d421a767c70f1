// BPE over characters with U+2581 for the space and single bytes as the last resort: SentencePiece's (order by
// piece score) and that of Hugging Face exports (order by a list of merges). Plain text, free of control tokens.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/merges.h"
#include "core/tokenizer/special_tokens.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

class SpaceBpe {
 public:
  explicit SpaceBpe(const Vocabulary& vocabulary);
  // Appends the ids of `text`; at_start: nothing lies before it. Bytes that are not valid UTF-8 become byte tokens.
  void encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;
  // The bytes that token `id` stands for.
  static std::string bytes_of(const Vocabulary& vocabulary, size_t id);

 private:
  void add_pieces(const Vocabulary& vocabulary);
  void add_merges(const Vocabulary& vocabulary);
  std::string escape(std::string_view text, bool at_start) const;
  void append_symbols(std::string_view text, std::vector<uint32_t>& symbols) const;
  void append_bytes(std::string_view character, std::vector<uint32_t>& symbols) const;

  bool add_space_prefix_;
  Vocabulary::SpacePrefix space_prefix_;
  uint32_t unknown_;                    // kNoSymbol if there is none
  std::array<uint32_t, 256> byte_ids_;  // [byte] kNoSymbol where there is none
  PairTable characters_;                // (code point, 0) to {symbol, 0}
  // Symbols are token ids and, from the vocabulary's size on, characters that occur only within longer pieces.
  uint32_t vocabulary_size_;
  std::vector<std::string> part_characters_;
  TokenFinder user_defined_;  // SentencePiece's, which are found before anything merges
  Merger merger_;
};

}  // namespace sluice
