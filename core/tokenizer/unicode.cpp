// UTF-8 by hand, because a bad byte must survive; categories and normalization by ICU.
#include "core/tokenizer/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include <array>

#include "core/base/error.h"

namespace sluice {
namespace {

constexpr CharClass ascii_class(uint32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::kLetter;
  if (c >= '0' && c <= '9') return CharClass::kNumber;
  if (c == ' ' || (c >= 9 && c <= 13)) return CharClass::kSpace;
  return CharClass::kOther;
}

constexpr std::array<CharClass, 128> kAsciiClass = [] {
  std::array<CharClass, 128> table{};
  for (uint32_t c = 0; c < 128; ++c) table[c] = ascii_class(c);
  return table;
}();

constexpr Character kInvalid = {0xFFFD, 1, CharClass::kOther, false};

bool continues(std::string_view text, size_t at) { return at < text.size() && (uint8_t(text[at]) & 0xC0) == 0x80; }

}  // namespace

CharClass char_class(uint32_t code_point) {
  if (code_point < 128) return kAsciiClass[code_point];
  const uint32_t mask = U_GET_GC_MASK(UChar32(code_point));
  if (mask & U_GC_L_MASK) return CharClass::kLetter;
  if (mask & U_GC_N_MASK) return CharClass::kNumber;
  return u_isUWhiteSpace(UChar32(code_point)) ? CharClass::kSpace : CharClass::kOther;
}

Character character_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  const uint32_t lead = uint8_t(text[at]);
  if (lead < 0x80) return {lead, 1, kAsciiClass[lead], true};
  uint32_t length, value, smallest;
  if (lead < 0xC2) return kInvalid;
  if (lead < 0xE0)
    length = 2, value = lead & 0x1F, smallest = 0x80;
  else if (lead < 0xF0)
    length = 3, value = lead & 0x0F, smallest = 0x800;
  else if (lead < 0xF5)
    length = 4, value = lead & 0x07, smallest = 0x10000;
  else
    return kInvalid;
  for (uint32_t i = 1; i < length; ++i) {
    if (!continues(text, at + i)) return kInvalid;
    value = value << 6 | (uint8_t(text[at + i]) & 0x3F);
  }
  if (value < smallest || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return kInvalid;
  return {value, length, char_class(value), true};
}

void append_utf8(std::string& text, uint32_t c) {
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    text += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  } else {
    text +=
        {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  }
}

std::string normalize_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  if (U_FAILURE(status)) throw Error(std::string("ICU has no normalization data: ") + u_errorName(status));
  std::string result;
  icu::StringByteSink<std::string> sink(&result, int32_t(text.size() < (1u << 30) ? text.size() : 0));
  constexpr size_t kMost = size_t(1) << 29;  // ICU counts in int32_t
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    for (Character c; end < text.size() && end - begin < kMost && (c = character_at(text, end)).valid;) end += c.length;
    if (end > begin) nfc->normalizeUTF8(0, {text.data() + begin, int32_t(end - begin)}, sink, nullptr, status);
    if (U_FAILURE(status)) throw Error(std::string("ICU cannot normalize the text: ") + u_errorName(status));
    if (end < text.size() && end - begin < kMost) result += text[end++];
    begin = end;
  }
  return result;
}

}  // namespace sluice
