// See python_text.h. Character properties and case are ICU's.
#include "core/tasks/python_text.h"

#include <unicode/locid.h>
#include <unicode/stringoptions.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <clocale>
#include <cmath>
#include <cstdlib>

namespace sluice {
namespace {

// Calls use(character, its bytes) for each; broken bytes are U+FFFD, as Python decodes them with errors="replace".
template <class F>
void each_character(std::string_view text, F use) {
  const char* data = text.data();
  const int32_t size = int32_t(text.size());
  for (int32_t at = 0; at < size;) {
    const int32_t begin = at;
    UChar32 c = 0;
    U8_NEXT_OR_FFFD(data, at, size, c);
    use(char32_t(c), text.substr(size_t(begin), size_t(at - begin)));
  }
}

icu::UnicodeString wide(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), int32_t(text.size())));
}

std::string narrow(const icu::UnicodeString& text) {
  std::string result;
  return text.toUTF8String(result);
}

bool unicode_punctuation(char32_t c) { return (U_GET_GC_MASK(UChar32(c)) & U_GC_P_MASK) != 0; }

}  // namespace

bool python_space(char32_t c) { return (c >= 0x1c && c <= 0x1f) || u_isUWhiteSpace(UChar32(c)); }

std::string_view python_strip(std::string_view text) {
  size_t begin = text.size(), end = 0, at = 0;
  each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!python_space(c)) {
      if (begin == text.size()) begin = at;
      end = at + bytes.size();
    }
    at += bytes.size();
  });
  return begin < end ? text.substr(begin, end - begin) : text.substr(0, 0);
}

std::string python_lower(std::string_view text) { return narrow(wide(text).toLower(icu::Locale::getRoot())); }

std::string python_capitalize(std::string_view text) {
  // As one word, since the form of a sigma in the middle depends on what stands before it.
  return narrow(
      wide(text).toTitle(nullptr, icu::Locale::getRoot(), U_TITLECASE_WHOLE_STRING | U_TITLECASE_NO_BREAK_ADJUSTMENT));
}

size_t python_length(std::string_view text) {
  size_t count = 0;
  each_character(text, [&](char32_t, std::string_view) { ++count; });
  return count;
}

std::string without_ascii_punctuation(std::string_view text) {
  constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  std::string result;
  for (const char c : text)
    if (kPunctuation.find(c) == kPunctuation.npos) result += c;
  return result;
}

std::string without_unicode_punctuation(std::string_view text) {
  std::string result;
  each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!unicode_punctuation(c)) result += bytes;
  });
  return result;
}

std::string python_replace(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (;;) {
    const size_t at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += to;
    text.remove_prefix(at + from.size());
  }
}

double python_float(std::string_view text) {
  std::string ascii;
  each_character(python_strip(text), [&](char32_t c, std::string_view bytes) {
    const int32_t digit = u_charDigitValue(UChar32(c));
    if (digit >= 0)
      ascii += char('0' + digit);
    else
      ascii += bytes;
  });
  if (ascii.empty() || ascii.find_first_not_of("0123456789.+-eE") != std::string::npos) return NAN;
  // Whatever locale a library has set for the process.
  static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  char* end = nullptr;
  const double value = strtod_l(ascii.c_str(), &end, c_locale);
  return end == ascii.c_str() + ascii.size() ? value : NAN;
}

}  // namespace sluice
