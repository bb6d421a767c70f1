// See toml_depth.h. Strings and comments are skipped as TOML delimits them; all else is brackets, dots and the rest.
#include "core/config/toml_depth.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

// The place behind the string that starts at `at`. One that is not closed ends with its line, or with the text.
size_t past_string(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
  const bool long_form = text.substr(at).starts_with(triple);
  for (at += long_form ? 3 : 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (long_form && text.substr(at).starts_with(triple)) {
      // Up to two quotes before the closing three are text.
      for (at += 3; at < text.size() && text[at] == quote;) ++at;
      return at;
    } else if (!long_form && (text[at] == quote || text[at] == '\n')) {
      return text[at] == quote ? at + 1 : at;
    }
  }
  return text.size();
}

TextPlace place_of(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  const size_t line = before.rfind('\n');
  return {1 + uint32_t(std::count(before.begin(), before.end(), '\n')),
          uint32_t(line == before.npos ? at + 1 : at - line)};
}

}  // namespace

std::optional<TextPlace> deeper_than(std::string_view text, size_t levels) {
  std::vector<size_t> opened;  // levels that each open bracket added, with the key before it
  size_t outside = 0;          // their sum
  size_t dots = 0;             // of the key at hand
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = past_string(text, at);
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '[' || c == '{') {
      opened.push_back(dots + 1);
      outside += dots + 1;
      dots = 0;
    } else if ((c == ']' || c == '}') && !opened.empty()) {
      outside -= opened.back();
      opened.pop_back();
      dots = 0;
    } else if (c == ',' || c == '\n') {
      dots = 0;
    } else if (c == '.') {
      ++dots;
    }
    if (outside + dots > levels) return place_of(text, at);
    ++at;
  }
  return std::nullopt;
}

}  // namespace sluice
