// Text to token ids and back. Made from a Vocabulary; immutable, so any thread may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

struct TextRange {
  size_t begin = 0, end = 0;  // bytes [begin, end)
};

class Tokenizer {
 public:
  // Throws Error when the vocabulary is inconsistent or its pre-tokenizer is not known (named, with those known).
  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Ids of `text` (UTF-8; invalid bytes are handled, never refused). parse_special: control and user-defined
  // tokens found in the text become their ids (leftmost, then longest); otherwise they are ordinary text, but
  // SentencePiece finds its user-defined symbols always. Adds neither BOS nor EOS.
  std::vector<int32_t> encode(std::string_view text, bool parse_special = false) const;
  // As encode(text, true), but what lies in `data` (sorted, disjoint ranges: what a user wrote, within a
  // template's text) is never part of a control or user-defined token.
  std::vector<int32_t> encode_template(std::string_view text, std::span<const TextRange> data) const;
  // The same with BOS (and EOS) where the model asks for it: what a plain prompt is fed as. A BOS that the text
  // itself begins with is not doubled.
  std::vector<int32_t> encode_prompt(std::string_view text, bool parse_special = false) const;
  // The bytes of one token; control tokens give their text if `special`, else nothing. Bytes of one id may be
  // an incomplete UTF-8 sequence. Throws Error for an id outside the vocabulary.
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
