// See gguf_value.h. Values may lie at any address, so every number is copied out before it is used.
#include "core/model/gguf_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/base/text.h"

namespace sluice {
namespace {

struct TypeRow {
  std::string_view name;
  uint32_t bytes;
};

// By number.
constexpr TypeRow kTypes[] = {{"UINT8", 1},  {"INT8", 1},    {"UINT16", 2}, {"INT16", 2},  {"UINT32", 4},
                              {"INT32", 4},  {"FLOAT32", 4}, {"BOOL", 1},   {"STRING", 0}, {"ARRAY", 0},
                              {"UINT64", 8}, {"INT64", 8},   {"FLOAT64", 8}};

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

bool is_gguf_type(uint32_t number) { return number < std::size(kTypes); }

std::string_view name_of(GgufType type) { return is_gguf_type(uint32_t(type)) ? kTypes[uint32_t(type)].name : "?"; }

uint32_t size_of(GgufType type) { return is_gguf_type(uint32_t(type)) ? kTypes[uint32_t(type)].bytes : 0; }

std::string GgufEntry::type_name() const {
  return type == GgufType::kArray ? fmt::format("ARRAY/{}", name_of(element)) : std::string(name_of(type));
}

std::optional<int64_t> integer_at(const GgufEntry& entry, uint64_t i) {
  const GgufType type = entry.type == GgufType::kArray ? entry.element : entry.type;
  const std::byte* const at = entry.elements.data() + i * size_of(type);
  switch (type) {
    case GgufType::kUint8:
      return load<uint8_t>(at);
    case GgufType::kInt8:
      return load<int8_t>(at);
    case GgufType::kUint16:
      return load<uint16_t>(at);
    case GgufType::kInt16:
      return load<int16_t>(at);
    case GgufType::kUint32:
      return load<uint32_t>(at);
    case GgufType::kInt32:
      return load<int32_t>(at);
    case GgufType::kInt64:
      return load<int64_t>(at);
    case GgufType::kUint64: {
      const uint64_t value = load<uint64_t>(at);
      if (value > uint64_t(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return int64_t(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(const GgufEntry& entry, uint64_t i) {
  const GgufType type = entry.type == GgufType::kArray ? entry.element : entry.type;
  const std::byte* const at = entry.elements.data() + i * size_of(type);
  if (type == GgufType::kFloat32) return load<float>(at);
  if (type == GgufType::kFloat64) return load<double>(at);
  if (type == GgufType::kUint64) return double(load<uint64_t>(at));
  if (const std::optional<int64_t> integer = integer_at(entry, i)) return double(*integer);
  return std::nullopt;
}

std::optional<bool> boolean_at(const GgufEntry& entry, uint64_t i) {
  const GgufType type = entry.type == GgufType::kArray ? entry.element : entry.type;
  if (type != GgufType::kBool) return std::nullopt;
  return entry.elements[i] != std::byte(0);
}

std::optional<std::string_view> GgufStrings::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t length = load<uint64_t>(rest_.data());
  const std::string_view text(reinterpret_cast<const char*>(rest_.data()) + 8, length);
  rest_ = rest_.subspan(8 + length);
  return text;
}

std::string describe_value(const GgufEntry& entry) {
  constexpr uint64_t kShown = 4;
  const bool array = entry.type == GgufType::kArray;
  const GgufType type = array ? entry.element : entry.type;
  if (array && type == GgufType::kArray) return fmt::format("{} arrays", entry.count);
  std::string text;
  GgufStrings strings(entry);
  for (uint64_t i = 0; i < std::min(entry.count, kShown); i++) {
    if (i > 0) text += ", ";
    if (type == GgufType::kString) {
      const std::string value = printable(*strings.next(), array ? 24 : 120);
      text += array ? fmt::format("\"{}\"", value) : value;
    } else if (const auto boolean = boolean_at(entry, i)) {
      text += *boolean ? "true" : "false";
    } else if (const auto integer = integer_at(entry, i)) {
      text += fmt::format("{}", *integer);
    } else if (type == GgufType::kUint64) {
      text += fmt::format("{}", load<uint64_t>(entry.elements.data() + i * 8));
    } else if (type == GgufType::kFloat32) {
      text += fmt::format("{}", float(*number_at(entry, i)));  // shortest form of the float, not of its double
    } else {
      text += fmt::format("{}", *number_at(entry, i));
    }
  }
  if (!array) return text;
  return entry.count > kShown ? fmt::format("[{}, ... {} in all]", text, entry.count) : fmt::format("[{}]", text);
}

}  // namespace sluice
