// See format.h: decimals by size, and characters that mean something elsewhere.
#include "core/report/format.h"

#include <fmt/format.h>

#include <cmath>

namespace sluice {
namespace {

// 0: by powers of ten.
int divergence_decimals(double nats) {
  const double size = std::abs(nats);
  return size < 0.000095 ? 0 : size < 0.00095 ? 5 : 4;
}

}  // namespace

std::string count_text(uint64_t n) {
  const std::string digits = fmt::format("{}", n);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string fixed_text(double x, int decimals) {
  if (std::isnan(x)) return "-";
  return fmt::format("{:.{}f}", x, decimals);
}

std::string percent_text(double share, int decimals) {
  if (std::isnan(share)) return "-";
  return fmt::format("{:.{}f} %", 100 * share, decimals);
}

std::string divergence_text(double nats) {
  if (nats == 0) return "0";
  const int decimals = divergence_decimals(nats);
  return decimals > 0 ? fixed_text(nats, decimals) : fmt::format("{:.1e}", nats);
}

std::string divergence_error_text(double nats, double se) {
  const int decimals = divergence_decimals(nats);
  return decimals > 0 ? fixed_text(se, decimals) : divergence_text(se);
}

std::string plus_minus_text(double x, double se, int decimals) {
  if (std::isnan(x) || std::isnan(se)) return fixed_text(x, decimals);
  return fmt::format("{:.{}f} ± {:.{}f}", x, decimals, se, decimals);
}

std::string exact_text(double x) {
  if (!std::isfinite(x)) return "";
  return fmt::format("{}", x);
}

std::string clean_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return i + k < text.size() ? uint8_t(text[i + k]) : 0u; };
    const unsigned lead = byte(0);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    bool valid = length > 0;
    for (size_t k = 1; k < length; ++k) valid = valid && (byte(k) & 0xC0) == 0x80;
    if (lead == 0xE0) valid = valid && byte(1) >= 0xA0;  // no overlong forms,
    if (lead == 0xED) valid = valid && byte(1) < 0xA0;   // no surrogates,
    if (lead == 0xF0) valid = valid && byte(1) >= 0x90;
    if (lead == 0xF4) valid = valid && byte(1) < 0x90;  // nothing beyond U+10FFFF
    out += valid ? text.substr(i, length) : kReplacement;
    i += valid ? length : 1;
  }
  return out;
}

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : clean_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\r':  // bare, a parser would make it a line feed
        out += "&#13;";
        break;
      default:
        if ((uint8_t(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
          out += "\xEF\xBF\xBD";
        else
          out += c;
    }
  }
  return out;
}

size_t text_width(std::string_view utf8) {
  size_t width = 0;
  for (const char c : utf8) width += (uint8_t(c) & 0xC0) != 0x80;
  return width;
}

}  // namespace sluice
