// Numbers as people read them, and text made safe for the languages reports are written in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// All give "-" for an unknown (NaN) figure.
std::string count_text(uint64_t n);                        // "1,024"
std::string fixed_text(double x, int decimals);            // "4.50"
std::string percent_text(double share, int decimals = 1);  // 0.287 -> "28.7 %"
std::string divergence_text(double nats);
std::string divergence_error_text(double nats, double se);  // se with as many decimals as divergence_text(nats) has
                                                            // "0.0061", "1.2e-05", "0"
std::string plus_minus_text(double x, double se, int decimals = 2);  // "17.92 ± 1.21"
// The shortest decimal that reads back as the same double, as JSON writes it; "" for NaN and infinities.
std::string exact_text(double x);

// & < > " ' as entities; control characters and broken UTF-8 as U+FFFD. For text and attribute values.
std::string html_text(std::string_view text);
// Valid UTF-8: what is not becomes U+FFFD.
std::string clean_utf8(std::string_view text);
// Characters, not bytes.
size_t text_width(std::string_view utf8);

}  // namespace sluice
