// What Python's str does, on UTF-8: the harness's filters and metrics are made of it, and what counts as a space or a
// capital decides scores. Regular expressions are in python_regex.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// str.isspace of one character: Unicode's white space and the four separators of ASCII (0x1c to 0x1f).
bool python_space(char32_t c);
// str.strip(). A view into `text`.
std::string_view python_strip(std::string_view text);
// str.lower(), str.capitalize(): in all languages alike, with the capital sigma's final form.
std::string python_lower(std::string_view text);
std::string python_capitalize(std::string_view text);
// len(): characters, not bytes.
size_t python_length(std::string_view text);
// The text without string.punctuation (ASCII's 32), and without all of Unicode's category P.
std::string without_ascii_punctuation(std::string_view text);
std::string without_unicode_punctuation(std::string_view text);
// str.replace(from, to); `from` is not empty.
std::string python_replace(std::string_view text, std::string_view from, std::string_view to);
// float() of what \d*\.?\d+ and its kin match, decimal digits of any script: NaN if it is no number.
double python_float(std::string_view text);

}  // namespace sluice
