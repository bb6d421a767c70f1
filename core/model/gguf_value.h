// Metadata values of a GGUF file as they lie in it: type numbers, sizes, and decoding into C++ types. Checks of
// the bytes themselves are in gguf.cpp; which keys a model needs is the business of gguf_model.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// The numbers are the file format's.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

std::string_view name_of(GgufType type);  // "UINT32"; "?" for a number that is no type
uint32_t size_of(GgufType type);          // bytes of a scalar, 0 for strings, arrays and unknown numbers
bool is_gguf_type(uint32_t number);

// A key with its value. Views into the mapped file, checked: lengths are right, strings are UTF-8, booleans are
// 0 or 1.
struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kUint8;
  GgufType element = GgufType::kUint8;  // of an array
  uint64_t count = 1;                   // elements of an array
  std::span<const std::byte> encoded;   // the value as it lies in the file, an array with its element type and count
  std::span<const std::byte> elements;  // an array's elements; otherwise as `encoded`
  uint64_t offset = 0;                  // of the key in the file

  bool is_array_of(GgufType wanted) const { return type == GgufType::kArray && element == wanted; }
  std::string type_name() const;  // "UINT32", "ARRAY/STRING"
};

// Scalars at index i of `elements` (not strings); nullopt if the value is of another kind.
std::optional<int64_t> integer_at(const GgufEntry& entry, uint64_t i);  // any integer type that fits
std::optional<double> number_at(const GgufEntry& entry, uint64_t i);    // any integer or float type
std::optional<bool> boolean_at(const GgufEntry& entry, uint64_t i);

// Walks over the strings of a string (one) or an array of strings.
class GgufStrings {
 public:
  explicit GgufStrings(const GgufEntry& entry) : rest_(entry.elements) {}
  std::optional<std::string_view> next();

 private:
  std::span<const std::byte> rest_;
};

// The value for people: numbers and texts as they are, long ones and arrays shortened.
std::string describe_value(const GgufEntry& entry);

}  // namespace sluice
