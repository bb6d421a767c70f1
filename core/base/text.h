// Small text helpers: suggestions, readable sizes, lists, UTF-8, and untrusted names made printable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Edits (insert, delete, replace, swap neighbours) that turn one text into the other.
uint32_t edit_distance(std::string_view a, std::string_view b);

// ` (did you mean "recent"?)` if one of the candidates is near enough to be a misspelling, otherwise empty.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);
// The same for any range of strings.
template <class Range>
std::string did_you_mean(std::string_view name, const Range& candidates) {
  const std::vector<std::string_view> views(std::begin(candidates), std::end(candidates));
  return did_you_mean(name, std::span<const std::string_view>(views));
}

// Three digits: "17 B", "1.50 KiB", "93.8 MiB".
std::string human_bytes(uint64_t bytes);

// "a, b, c" of any range of strings.
template <class Range>
std::string join(const Range& items, std::string_view separator = ", ") {
  std::string text;
  bool first = true;
  for (const auto& item : items) {
    if (!first) text += separator;
    text += item;
    first = false;
  }
  return text;
}

// The parts between separators; a text without any is one part. Views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

// What a JSON library says of a text, without the library's own tag "[json.exception...] ", printable.
std::string json_complaint(std::string_view what);

bool valid_utf8(std::string_view text);
// The longest beginning of at most `limit` bytes that cuts no UTF-8 character in two.
std::string_view whole_characters(std::string_view text, size_t limit);
// Every sequence of bytes that is no UTF-8 becomes one U+FFFD, as browsers and Python do it.
std::string replace_invalid_utf8(std::string_view text);
// Cuts the text before the first occurrence of each of the stop strings, one after the other; empty ones are ignored.
// True if it got shorter.
bool cut_at_stops(std::string& text, std::span<const std::string> stops);
// Text from a file, safe to print: control characters and invalid bytes as \xNN, shortened beyond `limit` bytes.
std::string printable(std::string_view text, size_t limit = 80);

}  // namespace sluice
