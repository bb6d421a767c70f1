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

std::vector<size_t> character_starts(std::string_view text) {
  std::vector<size_t> starts;
  size_t at = 0;
  for (; at < text.size(); at += character_at(text, at).length) starts.push_back(at);
  starts.push_back(at);
  return starts;
}

bool python_space(uint32_t c) {
  return (c >= 0x1C && c <= 0x1F) || char_class(c) == CharClass::kSpace;
}

MarkedText strip(const MarkedText& text, const std::string* characters, bool left, bool right) {
  const std::string& bytes = text.bytes();
  const std::vector<size_t> starts = character_starts(bytes);
  const auto goes = [&](size_t i) {
    if (!characters) return python_space(character_at(bytes, starts[i]).value);
    const std::string_view wanted(bytes.data() + starts[i], starts[i + 1] - starts[i]);
    for (size_t at = 0; at < characters->size(); at += character_at(*characters, at).length)
      if (std::string_view(*characters).substr(at, character_at(*characters, at).length) == wanted) return true;
    return false;
  };
  size_t begin = 0, end = starts.size() - 1;
  while (left && begin < end && goes(begin)) ++begin;
  while (right && begin < end && goes(end - 1)) --end;
  return text.substr(starts[begin], starts[end] - starts[begin]);
}

}  // namespace sluice::jinja
