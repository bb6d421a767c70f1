// The little of Unicode that tokenizers need: strict UTF-8 in which a bad byte stands for itself, the four
// classes of characters that pre-tokenizers tell apart, and normal form C.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace };  // other, \p{L}, \p{N}, White_Space

struct Character {
  uint32_t value = 0;   // code point; U+FFFD for a byte that is not part of valid UTF-8
  uint32_t length = 0;  // bytes; 0 at the end of the text
  CharClass kind = CharClass::kOther;
  bool valid = true;
};

CharClass char_class(uint32_t code_point);
// The character that begins at byte `at`. Overlong forms, surrogates and stray bytes are one invalid byte each.
Character character_at(std::string_view text, size_t at);
void append_utf8(std::string& text, uint32_t code_point);
// Normal form C of the valid stretches; invalid bytes stay.
std::string normalize_nfc(std::string_view text);

}  // namespace sluice
