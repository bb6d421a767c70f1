// sluice/size.hpp - sizes of memory as people write and read them. For backends; header-only C++17.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice {

// Bytes of "16GB", "512 MiB", "1000"; false if it is no size.
inline bool parse_size(const char* s, uint64_t* bytes) {
  char* end = nullptr;
  const double number = std::strtod(s, &end);
  if (end == s || !(number > 0) || number > 1e18) return false;
  while (*end == ' ') end++;
  char unit[4] = {};
  for (int i = 0; i < 3 && end[i]; i++) unit[i] = char(std::toupper(static_cast<unsigned char>(end[i])));
  if (std::strlen(end) > 3) return false;
  constexpr struct {
    const char* name;
    double factor;
  } kUnits[] = {{"", 1},      {"B", 1},        {"KB", 1e3},        {"MB", 1e6},     {"GB", 1e9},
                {"TB", 1e12}, {"KIB", 1024.0}, {"MIB", 1048576.0}, {"GIB", 0x1p30}, {"TIB", 0x1p40}};
  for (const auto& u : kUnits) {
    if (std::strcmp(unit, u.name) != 0) continue;
    if (number * u.factor < 1 || number * u.factor > 0x1p62) return false;
    *bytes = uint64_t(number * u.factor);
    return true;
  }
  return false;
}

// "1.25 GiB"
struct ReadableSize {
  char text[24];
};
inline ReadableSize readable(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, unit++;
  ReadableSize size;
  std::snprintf(size.text, sizeof size.text, unit ? "%.2f %s" : "%.0f %s", value, kUnits[unit]);
  return size;
}

}  // namespace sluice
