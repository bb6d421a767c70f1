// Text to token ids and back. Made from a Vocabulary; immutable, so any thread may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

class Tokenizer {
 public:
  // Throws Error when the vocabulary is inconsistent or its pre-tokenizer is not known (named, with those known).
  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // Ids of `text` (UTF-8; invalid bytes are handled, never refused). parse_special: control and user-defined
  // tokens found in the text become their ids; otherwise they are ordinary text. Adds neither BOS nor EOS.
  std::vector<int32_t> encode(std::string_view text, bool parse_special = false) const;
  // The same with BOS (and EOS) where the model asks for it: what a plain prompt is fed as.
  std::vector<int32_t> encode_prompt(std::string_view text, bool parse_special = false) const;
  // The bytes of one token; control tokens give their text if `special`, else nothing. Bytes of one id may be
  // an incomplete UTF-8 sequence.
  std::string piece(int32_t id, bool special = false) const;
  // The text of a sequence (SentencePiece: without the prefix space of the first token).
  std::string decode(const std::vector<int32_t>& ids, bool special = false) const;
  bool ends_generation(int32_t id) const;
  const Vocabulary& vocabulary() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
