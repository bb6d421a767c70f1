// See mistakes.h: lines sorted by where they stand, in the order in which their files were met.
#include "core/config/mistakes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr size_t kMostLines = 100;  // nobody reads more, and looking for lines said twice takes their square

// "configs/x.toml:12:1: ..." as the file and its numbers; lines without numbers come last.
struct Position {
  std::string_view file;
  uint32_t line = UINT32_MAX, column = UINT32_MAX;
};

Position position_of(std::string_view text) {
  for (size_t at = text.find(':'); at != std::string_view::npos; at = text.find(':', at + 1)) {
    uint32_t line = 0, column = 0;
    const char* end = text.data() + text.size();
    const auto [after_line, bad_line] = std::from_chars(text.data() + at + 1, end, line);
    if (bad_line != std::errc() || after_line == end || *after_line != ':') continue;
    const auto [after_column, bad_column] = std::from_chars(after_line + 1, end, column);
    if (bad_column != std::errc()) continue;
    return {text.substr(0, at), line, column};
  }
  return {};
}

}  // namespace

void Mistakes::add(const Place& place, std::string_view message) {
  std::string line = place.text;
  if (!line.empty()) line += ": ";
  line += message;
  add_lines(line);
}

void Mistakes::add_lines(std::string_view lines) {
  for (const std::string_view line : split(lines, '\n')) {
    if (line.empty() || std::find(lines_.begin(), lines_.end(), line) != lines_.end()) continue;
    if (lines_.size() < kMostLines)
      lines_.emplace_back(line);
    else
      more_ = true;
  }
}

void Mistakes::raise() const {
  if (lines_.empty()) return;
  std::vector<std::string_view> files;
  const auto rank = [&](std::string_view file) {
    return size_t(std::find(files.begin(), files.end(), file) - files.begin());
  };
  for (const std::string& line : lines_) {
    const Position position = position_of(line);
    if (position.line != UINT32_MAX && rank(position.file) == files.size()) files.push_back(position.file);
  }
  std::vector<std::string> sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const std::string& a, const std::string& b) {
    const Position pa = position_of(a), pb = position_of(b);
    return std::tuple(rank(pa.file), pa.line, pa.column) < std::tuple(rank(pb.file), pb.line, pb.column);
  });
  if (more_) sorted.push_back(fmt::format("there are more mistakes; these are the first {}", kMostLines));
  throw Error(join(sorted, "\n"));
}

}  // namespace sluice
