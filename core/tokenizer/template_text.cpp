// Marks to ranges, and the notions of characters and white space that Python has.
#include "core/tokenizer/template_text.h"

#include <algorithm>

#include "core/tokenizer/unicode.h"

namespace sluice::jinja {

std::vector<TextRange> MarkedText::data_ranges() const {
  std::vector<TextRange> ranges;
  for (size_t at = 0; at < marks_.size();) {
    const size_t end = std::min(marks_.find(char(1 - marks_[at]), at), marks_.size());
    if (marks_[at]) ranges.push_back({at, end});
    at = end;
  }
  return ranges;
}

size_t character_count(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += character_at(text, at).length) ++count;
  return count;
}

size_t character_offset(std::string_view text, size_t index) {
  size_t at = 0;
  while (index-- > 0 && at < text.size()) at += character_at(text, at).length;
  return at;
}

bool python_space(uint32_t c) { return (c >= 0x1C && c <= 0x1F) || char_class(c) == CharClass::kSpace; }

namespace {

// The character that ends at byte `end` (> 0).
Character character_before(std::string_view text, size_t end) {
  for (size_t length = 2; length <= 4 && length <= end; ++length) {
    const Character c = character_at(text.substr(0, end), end - length);
    if (c.valid && c.length == length) return c;
  }
  return character_at(text.substr(0, end), end - 1);
}

}  // namespace

MarkedText strip(const MarkedText& text, const std::string* characters, bool left, bool right) {
  const std::string_view bytes = text.bytes();
  const auto goes = [&](size_t at, const Character& c) {
    if (!characters) return c.valid && python_space(c.value);
    const std::string_view wanted = bytes.substr(at, c.length);
    for (size_t i = 0; i < characters->size(); i += character_at(*characters, i).length)
      if (std::string_view(*characters).substr(i, character_at(*characters, i).length) == wanted) return true;
    return false;
  };
  size_t begin = 0, end = bytes.size();
  for (Character c; left && begin < end && goes(begin, c = character_at(bytes, begin)); begin += c.length) {
  }
  for (Character c; right && begin < end && goes(end - (c = character_before(bytes, end)).length, c); end -= c.length) {
  }
  return text.substr(begin, end - begin);
}

}  // namespace sluice::jinja
