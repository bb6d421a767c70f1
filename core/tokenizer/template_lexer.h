// A template's text to tokens: text, tags and what is inside them, with the white space control of Jinja under
// trim_blocks and lstrip_blocks, which is how chat templates are meant to be read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

struct Token {
  enum class Kind {
    kText,      // between tags
    kPrint,     // {{
    kPrintEnd,  // }}
    kBlock,     // {%
    kBlockEnd,  // %}
    kName,
    kString,  // text: the value
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  } kind = Kind::kEnd;
  std::string text;
  size_t at = 0;  // byte of the source
};

// The source with its newlines made "\n" and without the last of them; positions refer to this.
std::string normalize_source(std::string_view source);
// Throws Error with line and column.
std::vector<Token> lex(const std::string& source);
// Error "chat template line 3, column 7: what".
[[noreturn]] void fail_at(std::string_view source, size_t at, const std::string& what);

}  // namespace sluice::jinja
