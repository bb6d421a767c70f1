// Text inside the template engine: bytes, each marked as the template's own or as data from a message. The marks
// follow every operation, so that the tokenizer can tell a control token of the template from one that a user typed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace sluice::jinja {

class MarkedText {
 public:
  MarkedText() = default;
  explicit MarkedText(std::string_view bytes, bool data = false) : bytes_(bytes), marks_(bytes.size(), data) {}

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool marked(size_t at) const { return marks_[at] != 0; }

  void append(const MarkedText& other) {
    bytes_ += other.bytes_;
    marks_ += other.marks_;
  }
  void append(std::string_view bytes, bool data) {
    bytes_ += bytes;
    marks_.append(bytes.size(), data);
  }
  MarkedText substr(size_t begin, size_t count = std::string::npos) const {
    MarkedText part;
    part.bytes_ = bytes_.substr(begin, count);
    part.marks_ = marks_.substr(begin, count);
    return part;
  }
  std::vector<TextRange> data_ranges() const;

 private:
  std::string bytes_;
  std::string marks_;  // [bytes] 0 or 1
};

// Code points are what Python counts: how many there are, and the byte where one begins (the size, if it is beyond).
size_t character_count(std::string_view text);
size_t character_offset(std::string_view text, size_t index);
// What Python's str.isspace() calls white space; wider than Unicode's White_Space by U+001C to U+001F.
bool python_space(uint32_t code_point);
// Python's strip family; without `characters` white space goes.
MarkedText strip(const MarkedText& text, const std::string* characters, bool left, bool right);

}  // namespace sluice::jinja
