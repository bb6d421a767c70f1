// See python_regex.h: matching. The translation of patterns is in python_regex_pattern.cpp.
#include "core/tasks/python_regex.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

icu::UnicodeString wide(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), int32_t(text.size())));
}

std::string narrow(const icu::UnicodeString& text) {
  std::string result;
  return text.toUTF8String(result);
}

void check(UErrorCode status, const std::string& pattern) {
  if (U_SUCCESS(status)) return;
  throw Error(fmt::format("the expression \"{}\" {}", printable(pattern),
                          status == U_REGEX_TIME_OUT || status == U_REGEX_STACK_OVERFLOW
                              ? "takes too long on one of the texts; it backtracks without end"
                              : fmt::format("failed: {}", u_errorName(status))));
}

// A matcher over a text, which it keeps.
struct Search {
  const std::string& pattern;
  icu::UnicodeString text;
  std::unique_ptr<icu::RegexMatcher> matcher;

  Search(const icu::RegexPattern& compiled, const std::string& source, std::string_view bytes)
      : pattern(source), text(wide(bytes)) {
    UErrorCode status = U_ZERO_ERROR;
    matcher.reset(compiled.matcher(text, status));
    check(status, pattern);
    matcher->setTimeLimit(4000, status);  // of steps, some ten thousand operations each, not of a clock
    check(status, pattern);
  }
  bool next() {
    UErrorCode status = U_ZERO_ERROR;
    const bool found = matcher->find(status);
    check(status, pattern);
    return found;
  }
  std::string group(int32_t index) const {
    UErrorCode status = U_ZERO_ERROR;
    const icu::UnicodeString part = matcher->group(index, status);
    check(status, pattern);
    return narrow(part);
  }
  int32_t end() const {
    UErrorCode status = U_ZERO_ERROR;
    return matcher->end(status);
  }
};

}  // namespace

PythonRegex::PythonRegex(std::string_view pattern) : pattern_(pattern) {
  const std::string translated = icu_pattern(pattern);
  UErrorCode status = U_ZERO_ERROR;
  UParseError where;
  compiled_.reset(icu::RegexPattern::compile(wide(translated), 0, where, status));
  if (U_FAILURE(status))
    throw Error(fmt::format("\"{}\" is no regular expression: {}", printable(pattern),
                            std::string_view(u_errorName(status)).substr(std::string_view("U_REGEX_").size())));
  std::unique_ptr<icu::RegexMatcher> matcher(compiled_->matcher(status));
  check(status, pattern_);
  groups_ = size_t(matcher->groupCount());
}

std::vector<std::vector<std::string>> PythonRegex::find_all(std::string_view text) const {
  std::vector<std::vector<std::string>> matches;
  Search search(*compiled_, pattern_, text);
  while (search.next()) {
    std::vector<std::string>& match = matches.emplace_back();
    if (groups_ == 0) match.push_back(search.group(0));
    for (size_t i = 1; i <= groups_; ++i) match.push_back(search.group(int32_t(i)));
  }
  return matches;
}

std::string PythonRegex::replace(std::string_view text, std::string_view replacement) const {
  Search search(*compiled_, pattern_, text);
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString result = search.matcher->replaceAll(wide(replacement), status);
  check(status, pattern_);
  return narrow(result);
}

size_t PythonRegex::first_end(std::string_view text) const {
  Search search(*compiled_, pattern_, text);
  if (!search.next()) return std::string::npos;
  // A broken byte is three in the text that was searched; the length in bytes is asked of sound text only.
  return narrow(search.text.tempSubStringBetween(0, search.end())).size();
}

size_t PythonRegex::split_count(std::string_view text) const {
  Search search(*compiled_, pattern_, text);
  size_t parts = 1;
  while (search.next()) ++parts;
  return parts;
}

}  // namespace sluice
