// A Python pattern as an ICU pattern: classes, anchors and dots are written out as sets and look-arounds, so that
// neither engine's idea of lines, words and spaces is asked. What ICU knows and Python does not is refused.
#include <fmt/format.h>

#include <map>
#include <vector>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tasks/python_regex.h"

namespace sluice {
namespace {

// Whatever locale a library has set for the process.
bool ascii_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// Members of the classes, as they stand within brackets.
constexpr std::string_view kSpace =
    "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
constexpr std::string_view kWord = "\\p{L}\\p{N}_";
constexpr std::string_view kDigit = "\\p{Nd}";

struct Flags {
  bool dot_all = false, multiline = false;
};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    if (!valid_utf8(in_)) fail(0, "it is not UTF-8 text");
    while (at_ < in_.size()) piece();
    if (!open_.empty()) fail(open_.back().at, "a group is never closed");
    return out_;
  }

 private:
  struct Open {
    size_t at;
    Flags flags;  // of what lies around it
  };

  [[noreturn]] void fail(size_t at, std::string_view what) const {
    throw Error(
        fmt::format("\"{}\" is no regular expression of Python's: {} (at character {})", printable(in_), what, at + 1));
  }
  bool more() const { return at_ < in_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    if (in_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }

  void piece() {
    const char c = in_[at_];
    switch (c) {
      case '\\':
        return escape();
      case '[':
        return set();
      case '(':
        return group();
      case ')':
        if (open_.empty()) fail(at_, "\")\" closes nothing");
        flags_ = open_.back().flags;
        open_.pop_back();
        break;
      case '.':
        ++at_;
        out_ += flags_.dot_all ? "[\\x{0}-\\x{10ffff}]" : "[^\\n]";
        return;
      case '^':
        ++at_;
        out_ += flags_.multiline ? "(?:\\A|(?<=\\n))" : "\\A";
        return;
      case '$':
        ++at_;
        out_ += flags_.multiline ? "(?=\\n|\\z)" : "(?=\\n?\\z)";
        return;
      case '{':
        return braces();
      case '}':
      case ']':
        out_ += '\\';
        break;
      default:
        break;
    }
    out_ += c;
    ++at_;
  }

  // {2}, {2,}, {,3} and {2,3} repeat; other braces are themselves.
  void braces() {
    size_t at = at_ + 1;
    const auto digits = [&] {
      const size_t begin = at;
      while (at < in_.size() && std::isdigit(static_cast<unsigned char>(in_[at]))) ++at;
      return in_.substr(begin, at - begin);
    };
    const std::string_view low = digits();
    const bool comma = at < in_.size() && in_[at] == ',';
    if (comma) ++at;
    const std::string_view high = comma ? digits() : low;
    if (at >= in_.size() || in_[at] != '}' || (low.empty() && !comma)) {
      out_ += "\\{";
      ++at_;
      return;
    }
    out_ += fmt::format("{{{}{}}}", low.empty() ? "0" : low, comma ? fmt::format(",{}", high) : "");
    at_ = at + 1;
  }

  std::string hex(size_t digits) {
    const std::string_view text = in_.substr(at_, digits);
    for (const char c : text)
      if (!std::isxdigit(static_cast<unsigned char>(c))) fail(at_, "an escape lacks hexadecimal digits");
    if (text.size() < digits) fail(at_, "an escape lacks hexadecimal digits");
    at_ += digits;
    return fmt::format("\\x{{{}}}", text);
  }

  // One character's escape, after the backslash; empty if it is a class or an anchor.
  std::string character_escape() {
    const char c = peek();
    switch (c) {
      case 'n':
      case 't':
      case 'r':
      case 'f':
        ++at_;
        return {'\\', c};
      case 'v':
        ++at_;
        return "\\x{0b}";
      case 'a':
        ++at_;
        return "\\x{07}";
      case 'x':
        ++at_;
        return hex(2);
      case 'u':
        ++at_;
        return hex(4);
      case 'U':
        ++at_;
        return hex(8);
      case '0': {
        uint32_t value = 0;
        for (size_t digits = 0; digits < 3 && peek() >= '0' && peek() <= '7'; ++digits)
          value = value * 8 + uint32_t(in_[at_++] - '0');
        return fmt::format("\\x{{{:x}}}", value);
      }
      default:
        if (ascii_alphanumeric(c)) return {};
        // A character beyond ASCII keeps its bytes together.
        return literal();
    }
  }

  // The character that stands here, as itself.
  std::string literal() {
    std::string text(whole_characters(in_.substr(at_), 4));
    size_t length = 1;
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) ++length;
    text.resize(length);
    at_ += length;
    const unsigned char first = static_cast<unsigned char>(text[0]);
    return first < 0x80 && !ascii_alphanumeric(char(first)) && first > ' ' ? "\\" + text : text;
  }

  // \d and its kin, after the backslash: the members of the set and whether it is turned round.
  static std::string_view members(char c) {
    switch (std::tolower(static_cast<unsigned char>(c))) {
      case 'd':
        return kDigit;
      case 's':
        return kSpace;
      case 'w':
        return kWord;
      default:
        return {};
    }
  }

  void escape() {
    const size_t begin = at_++;
    if (!more()) fail(begin, "it ends in a backslash");
    const char c = peek();
    if (const std::string_view set = members(c); !set.empty()) {
      ++at_;
      out_ += fmt::format("[{}{}]", std::isupper(static_cast<unsigned char>(c)) ? "^" : "", set);
      return;
    }
    if (c == 'A' || c == 'Z') {
      ++at_;
      out_ += c == 'A' ? "\\A" : "\\z";
      return;
    }
    if (c == 'b' || c == 'B') {
      ++at_;
      out_ += c == 'b' ? fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord)
                       : fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord);
      return;
    }
    if (c >= '1' && c <= '9') {
      size_t digits = 1;
      if (std::isdigit(static_cast<unsigned char>(peek(1)))) ++digits;
      out_ += fmt::format("(?:\\{})", in_.substr(at_, digits));
      at_ += digits;
      return;
    }
    const std::string text = character_escape();
    if (text.empty()) fail(begin, fmt::format("\"\\{}\" is no escape", c));
    out_ += text;
  }

  void set() {
    const size_t begin = at_++;
    out_ += '[';
    if (take("^")) out_ += '^';
    for (bool first = true;; first = false) {
      if (!more()) fail(begin, "a set is never closed");
      if (peek() == ']' && !first) break;
      const std::string low = set_member();
      if (low.empty()) continue;
      out_ += low;
      if (peek() != '-' || peek(1) == ']' || peek(1) == '\0') continue;
      ++at_;
      const std::string high = set_member();
      if (high.empty()) fail(at_, "a range in a set ends in a class");
      out_ += '-' + high;
    }
    ++at_;
    out_ += ']';
  }

  // A character of a set; a class is written at once, and leaves nothing.
  std::string set_member() {
    const size_t begin = at_;
    if (peek() != '\\') return literal();
    ++at_;
    const char c = peek();
    if (const std::string_view set = members(c); !set.empty()) {
      ++at_;
      out_ += fmt::format("[{}{}]", std::isupper(static_cast<unsigned char>(c)) ? "^" : "", set);
      return {};
    }
    if (c == 'b') {
      ++at_;
      return "\\x{08}";
    }
    if (!more()) fail(begin, "it ends in a backslash");
    const std::string text = character_escape();
    if (text.empty()) fail(begin, fmt::format("\"\\{}\" is no escape of a set", c));
    return text;
  }

  void group() {
    const size_t begin = at_;
    if (peek(1) != '?') {
      open_.push_back({begin, flags_});
      ++groups_;
      out_ += '(';
      ++at_;
      return;
    }
    at_ += 2;
    if (take("P<")) {
      const std::string_view name = until('>', begin);
      names_[std::string(name)] = ++groups_;
      open_.push_back({begin, flags_});
      out_ += '(';
      return;
    }
    if (take("P=")) {
      const auto found = names_.find(std::string(until(')', begin)));
      if (found == names_.end()) fail(begin, "no group of that name stands before it");
      out_ += fmt::format("(?:\\{})", found->second);
      return;
    }
    if (take("#")) {
      until(')', begin);
      return;
    }
    for (const std::string_view kind : {":", "=", "!", "<=", "<!", ">"}) {
      if (!take(kind)) continue;
      open_.push_back({begin, flags_});
      out_ += fmt::format("(?{}", kind);
      return;
    }
    flags(begin);
  }

  // (?i) at the very beginning, or (?i-s:...) anywhere.
  void flags(size_t begin) {
    Flags inner = flags_;
    std::string passed;
    bool on = true;
    for (; more() && peek() != ')' && peek() != ':'; ++at_) {
      const char c = peek();
      if (c == '-' && on) {
        on = false;
        passed += '-';
      } else if (c == 's') {
        inner.dot_all = on;
      } else if (c == 'm') {
        inner.multiline = on;
      } else if (c == 'i') {
        passed += 'i';
      } else if (c != 'u') {
        fail(begin, fmt::format("\"(?{}\" is not supported", c));
      }
    }
    if (!more()) fail(begin, "a group is never closed");
    if (passed == "-") passed.clear();
    if (in_[at_++] == ':') {
      open_.push_back({begin, flags_});
      out_ += fmt::format("(?{}:", passed);
    } else {
      if (begin != 0) fail(begin, "flags for all of it stand at its beginning");
      if (!passed.empty()) out_ += fmt::format("(?{})", passed);
    }
    flags_ = inner;
  }

  std::string_view until(char end, size_t begin) {
    const size_t stop = in_.find(end, at_);
    if (stop == std::string_view::npos) fail(begin, "a group is never closed");
    const std::string_view text = in_.substr(at_, stop - at_);
    at_ = stop + 1;
    return text;
  }

  std::string_view in_;
  size_t at_ = 0, groups_ = 0;
  std::string out_;
  std::vector<Open> open_;
  std::map<std::string, size_t> names_;
  Flags flags_;
};

}  // namespace

std::string icu_pattern(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace sluice
