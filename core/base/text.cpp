// See text.h. UTF-8 is judged as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.

#include "core/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace sluice {
namespace {

// Bytes of the UTF-8 sequence that starts `text`, 0 if it is not one (overlong forms, surrogates and code
// points above U+10FFFF are not).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
  if (first < 0xE0) return 2;
  if (!continues(2)) return 0;
  if (first < 0xF0) return (first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ? 0 : 3;
  if (!continues(3)) return 0;
  return (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90) ? 0 : 4;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = char(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

uint32_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the usual table: distances of a[0, i) to all b[0, j); the swap looks two rows back.
  std::vector<uint32_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = uint32_t(j);
  for (size_t i = 1; i <= a.size(); i++) {
    before.swap(last);
    last.swap(row);
    row[0] = uint32_t(i);
    for (size_t j = 1; j <= b.size(); j++) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.empty() || name.size() > 256) return "";
  const std::string wanted = lower(name);
  std::string_view best;
  uint32_t best_distance = 0;
  for (const std::string_view candidate : candidates) {
    if (candidate.empty() || candidate.size() > 256 || candidate == name) continue;
    const uint32_t distance = edit_distance(wanted, lower(candidate));
    if (best.empty() || distance < best_distance) best = candidate, best_distance = distance;
  }
  // A third of the letters may be wrong, one in short names; with nothing in common it is no misspelling.
  const size_t longer = std::max(name.size(), best.size());
  if (best.empty() || best_distance > std::max<size_t>(1, longer / 3) || best_distance >= longer) return "";
  return fmt::format(" (did you mean \"{}\"?)", printable(best));
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  static constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = double(bytes) / 1024;
  size_t unit = 0;
  for (; amount >= 999.5 && unit + 1 < std::size(kUnits); ++unit) amount /= 1024;
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", amount, decimals, kUnits[unit]);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find(separator, from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

std::string json_complaint(std::string_view what) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  const size_t start = what.find("] ");
  return printable(start == what.npos ? what : what.substr(start + 2), 300);
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

namespace {

// Bytes at the beginning that could be those of one character, 1 at least.
size_t character_part(std::string_view text) {
  const auto lead = uint8_t(text[0]);
  const size_t length = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;
  // The second byte rules out overlong forms, surrogates and what lies beyond the last code point.
  uint8_t low = lead == 0xE0   ? 0xA0
                : lead == 0xF0 ? 0x90
                               : 0x80,
          high = lead == 0xED   ? 0x9F
                 : lead == 0xF4 ? 0x8F
                                : 0xBF;
  size_t n = 1;
  for (; n < std::min(length, text.size()); n++, low = 0x80, high = 0xBF)
    if (uint8_t(text[n]) < low || uint8_t(text[n]) > high) break;
  return n;
}

}  // namespace

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    result += length ? text.substr(0, length) : "\xEF\xBF\xBD";
    text.remove_prefix(length ? length : character_part(text));
  }
  return result;
}

bool cut_at_stops(std::string& text, std::span<const std::string> stops) {
  const size_t size = text.size();
  for (const std::string& stop : stops)
    if (const size_t at = stop.empty() ? text.npos : text.find(stop); at != text.npos) text.resize(at);
  return text.size() < size;
}

std::string_view whole_characters(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t start = limit;  // of the character that the limit falls into: at most three bytes back
  while (start > 0 && limit - start < 3 && (uint8_t(text[start]) & 0xC0) == 0x80) --start;
  return text.substr(0, start + sequence_length(text.substr(start)) > limit ? start : limit);
}

std::string printable(std::string_view text, size_t limit) {
  std::string result;
  while (!text.empty()) {
    if (result.size() >= limit) return result + "...";
    const size_t length = sequence_length(text);
    if (length == 0 || uint8_t(text[0]) < 0x20 || text[0] == 0x7F) {
      result += fmt::format("\\x{:02X}", uint8_t(text[0]));
      text.remove_prefix(1);
    } else {
      result += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return result;
}

}  // namespace sluice
