// The lexer. White space rules: a "-" in a tag strips all white space on its side, "+" keeps it; otherwise block and
// comment tags that stand alone on a line lose the blanks before and the newline behind them.
#include "core/tokenizer/template_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tokenizer/template_text.h"
#include "core/tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

using Kind = Token::Kind;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_char(char c) {
  return digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || uint8_t(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(const std::string& source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = next_tag();
      if (tag == std::string::npos) {
        add(Kind::kText, source_.substr(at_), at_);
        break;
      }
      text_before(tag);
      at_ = tag + 2;
      if (sign()) ++at_;
      if (source_[tag + 1] == '#')
        comment(tag);
      else if (source_[tag + 1] == '{')
        inside(tag, Kind::kPrint);
      else if (!raw(tag))
        inside(tag, Kind::kBlock);
    }
    add(Kind::kEnd, "", source_.size());
    return std::move(tokens_);
  }

 private:
  void add(Kind kind, std::string text, size_t at) {
    if (kind != Kind::kText || !text.empty()) tokens_.push_back({kind, std::move(text), at});
  }

  bool sign() const { return at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+'); }
  bool looking_at(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }

  size_t next_tag() const {
    for (size_t at = source_.find('{', at_); at != std::string::npos; at = source_.find('{', at + 1))
      if (at + 1 < source_.size() && std::string_view("{%#").find(source_[at + 1]) != std::string_view::npos) return at;
    return std::string::npos;
  }

  // The text up to the tag at `tag`, less what the tag strips.
  void text_before(size_t tag) {
    std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    const char mark = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    if (mark == '-') {
      text = text.substr(0, strip(MarkedText(text), nullptr, false, true).size());
    } else if (mark != '+' && source_[tag + 1] != '{') {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == text.npos ? 0 : newline + 1;
      if ((line > 0 || line_starts_) && strip(MarkedText(text.substr(line)), nullptr, true, false).empty())
        text = text.substr(0, line);
    }
    add(Kind::kText, std::string(text), at_);
  }

  void skip_space() {
    for (Character c; (c = character_at(source_, at_)).length != 0 && python_space(c.value);) at_ += c.length;
  }

  // At the end of a tag: "-" strips what follows, a block's end takes one newline with it unless it is marked "+".
  bool tag_end(std::string_view end, bool takes_newline) {
    const bool minus = looking_at(std::string("-").append(end));
    const bool plus = takes_newline && looking_at(std::string("+").append(end));
    if (!minus && !plus && !looking_at(end)) return false;
    at_ += end.size() + (minus || plus);
    if (minus)
      skip_space();
    else if (takes_newline && !plus && at_ < source_.size() && source_[at_] == '\n')
      ++at_;
    line_starts_ = source_[at_ - 1] == '\n';
    return true;
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail_at(source_, tag, "the comment is not closed");
    const bool marked = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    at_ = end - marked;
    tag_end("#}", true);
  }

  // {% raw %} ... {% endraw %}: text in which nothing is a tag. False if the tag is another one.
  bool raw(size_t tag) {
    const size_t start = at_;
    const auto word = [&](std::string_view name) {
      skip_space();
      if (!looking_at(name)) return false;
      at_ += name.size();
      skip_space();
      return true;
    };
    if (!word("raw") || !tag_end("%}", false)) {
      at_ = start;
      return false;
    }
    const size_t text = at_;
    for (size_t open = source_.find("{%", at_); open != std::string::npos; open = source_.find("{%", open + 2)) {
      at_ = open + 2;
      if (sign()) ++at_;
      if (!word("endraw")) continue;
      const size_t behind = at_;
      at_ = text;
      text_before(open);
      at_ = behind;
      if (tag_end("%}", true)) return true;
    }
    fail_at(source_, tag, "'raw' is not closed by 'endraw'");
  }

  void inside(size_t tag, Kind kind) {
    const bool print = kind == Kind::kPrint;
    add(kind, print ? "{{" : "{%", tag);
    std::string open;  // brackets not closed yet
    for (;;) {
      skip_space();
      if (at_ >= source_.size()) fail_at(source_, tag, fmt::format("the tag '{}' is not closed", print ? "{{" : "{%"));
      const size_t start = at_;
      if (open.empty() && tag_end(print ? "}}" : "%}", !print))
        return add(print ? Kind::kPrintEnd : Kind::kBlockEnd, print ? "}}" : "%}", start);
      const char c = source_[at_];
      if (digit(c))
        number();
      else if (name_char(c))
        name();
      else if (c == '\'' || c == '"')
        string();
      else
        operation(open);
    }
  }

  void name() {
    const size_t start = at_;
    while (at_ < source_.size() && name_char(source_[at_])) ++at_;
    add(Kind::kName, source_.substr(start, at_ - start), start);
  }

  void digits(std::string& text) {
    for (; at_ < source_.size() && (digit(source_[at_]) || source_[at_] == '_'); ++at_)
      if (source_[at_] != '_') text += source_[at_];
  }

  void number() {
    const size_t start = at_;
    std::string text;
    digits(text);
    const bool after_dot = !tokens_.empty() && tokens_.back().kind == Kind::kOperator && tokens_.back().text == ".";
    bool is_float = false;
    if (!after_dot && at_ + 1 < source_.size() && source_[at_] == '.' && digit(source_[at_ + 1])) {
      is_float = true;
      text += source_[at_++];
      digits(text);
    }
    const size_t sign = at_ + 1 < source_.size() && (source_[at_ + 1] == '+' || source_[at_ + 1] == '-') ? 1 : 0;
    if (!after_dot && at_ + sign + 1 < source_.size() && (source_[at_] | 32) == 'e' && digit(source_[at_ + sign + 1])) {
      is_float = true;
      text += source_.substr(at_, sign + 1);
      at_ += sign + 1;
      digits(text);
    }
    add(is_float ? Kind::kFloat : Kind::kInteger, text, start);
  }

  void operation(std::string& open) {
    static constexpr std::array<std::string_view, 6> kLong = {"//", "**", "==", "!=", "<=", ">="};
    const size_t start = at_;
    std::string text(1, source_[at_]);
    for (const std::string_view two : kLong)
      if (looking_at(two)) text = two;
    if (text.size() == 1 && std::string_view("+-*/%~[](){}<>=.:|,").find(text[0]) == std::string_view::npos)
      fail_at(source_, start, fmt::format("'{}' does not belong into a tag", printable(source_.substr(start, 1))));
    if (text == "(" || text == "[" || text == "{") open += text == "(" ? ')' : text == "[" ? ']' : '}';
    if (text == ")" || text == "]" || text == "}") {
      if (open.empty()) fail_at(source_, start, fmt::format("'{}' closes nothing", text));
      if (open.back() != text[0]) fail_at(source_, start, fmt::format("'{}' is expected, not '{}'", open.back(), text));
      open.pop_back();
    }
    at_ += text.size();
    add(Kind::kOperator, std::move(text), start);
  }

  void string() {
    const size_t start = at_;
    const char quote = source_[at_++];
    std::string text;
    for (;;) {
      if (at_ >= source_.size()) fail_at(source_, start, "the text is not closed");
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\')
        escape(text);
      else
        text += c;
    }
    add(Kind::kString, std::move(text), start);
  }

  // Python's escapes; one that is not known stays as it is written.
  void escape(std::string& text) {
    if (at_ >= source_.size()) return;
    static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[at_++];
    const size_t letter = kLetters.find(c);
    if (letter != kLetters.npos) return void(text += kMeanings[letter]);
    if (c == '\n') return;
    if (c == 'x') return code(text, 2, 16);
    if (c == 'u') return code(text, 4, 16);
    if (c == 'U') return code(text, 8, 16);
    if (c >= '0' && c <= '7') {
      --at_;
      size_t count = 1;
      while (count < 3 && at_ + count < source_.size() && source_[at_ + count] >= '0' && source_[at_ + count] <= '7')
        ++count;
      return code(text, count, 8);
    }
    text += '\\';
    text += c;
  }

  void code(std::string& text, size_t count, int base) {
    uint32_t value = 0;
    const char* begin = source_.data() + at_;
    const char* end = begin + std::min(count, source_.size() - at_);
    const auto [stop, error] = std::from_chars(begin, end, value, base);
    if (error != std::errc() || size_t(stop - begin) != count || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000))
      fail_at(source_, at_, "the escape is not a character");
    append_utf8(text, value);
    at_ += count;
  }

  const std::string& source_;
  size_t at_ = 0;
  bool line_starts_ = true;  // what was read last ended a line
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r')
      text += source[i];
    else if (i + 1 == source.size() || source[i + 1] != '\n')
      text += '\n';
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<Token> lex(const std::string& source) { return Lexer(source).run(); }

void fail_at(std::string_view source, size_t at, const std::string& what) {
  const std::string_view before = source.substr(0, std::min(at, source.size()));
  const size_t newline = before.rfind('\n');
  const std::string_view line = newline == before.npos ? before : before.substr(newline + 1);
  throw Error(fmt::format("chat template line {}, column {}: {}", 1 + std::count(before.begin(), before.end(), '\n'),
                          character_count(line) + 1, what));
}

}  // namespace sluice::jinja
