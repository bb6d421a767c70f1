// Regular expressions as Python's re has them, on ICU: the harness's filters and metrics are such expressions, and
// where the two engines differ (what \s, \w and \b hold, what ends a line, sets within sets) a score would differ.
#pragma once

#include <unicode/regex.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class PythonRegex {
 public:
  // Error (one line, without a place) where Python would refuse the pattern, or where it holds what is not translated:
  // conditions on groups, the flags a, L and x. A quantifier that prefers to match nothing (`a*?`) finds less than
  // Python's does beside its empty matches.
  explicit PythonRegex(std::string_view pattern);

  const std::string& pattern() const { return pattern_; }
  size_t groups() const { return groups_; }
  // re.findall: per match its groups, "" where one took no part; the whole match where the pattern has no groups.
  std::vector<std::vector<std::string>> find_all(std::string_view text) const;
  // re.sub(pattern, replacement, text); $1 stands for the first group.
  std::string replace(std::string_view text, std::string_view replacement) const;
  // Where the first match ends, in bytes; npos if there is none. (re.search(text).end())
  size_t first_end(std::string_view text) const;
  // len(re.split(pattern, text)) of a pattern that does not match nothing.
  size_t split_count(std::string_view text) const;

 private:
  std::string pattern_;
  size_t groups_ = 0;
  std::shared_ptr<const icu::RegexPattern> compiled_;
};

// The ICU pattern that means what the Python pattern means; Error as above. For tests.
std::string icu_pattern(std::string_view pattern);

}  // namespace sluice
