// Values of a GGUF file by key and type; see gguf.h. The bytes were checked by gguf.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/gguf.h"

namespace sluice {

const GgufEntry* GgufFile::find(std::string_view key) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const GgufEntry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

void GgufFile::fail(const GgufEntry& entry, std::string_view message) const {
  throw Error(
      fmt::format("{}: key \"{}\" (at byte {}): {}", path().string(), printable(entry.key), entry.offset, message));
}

std::optional<uint32_t> GgufFile::unsigned_value(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  const std::optional<int64_t> value = entry->type == GgufType::kArray ? std::nullopt : integer_at(*entry, 0);
  if (!value || *value < 0 || *value > std::numeric_limits<uint32_t>::max())
    fail(*entry,
         fmt::format("is {} {}, expected an integer from 0 to 4294967295", entry->type_name(), describe_value(*entry)));
  return uint32_t(*value);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  const std::optional<double> value = entry->type == GgufType::kArray ? std::nullopt : number_at(*entry, 0);
  if (!value || !std::isfinite(*value))
    fail(*entry, fmt::format("is {} {}, expected a finite number", entry->type_name(), describe_value(*entry)));
  return value;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  if (entry->type != GgufType::kBool) fail(*entry, fmt::format("is {}, expected BOOL", entry->type_name()));
  return boolean_at(*entry, 0);
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  if (entry->type != GgufType::kString) fail(*entry, fmt::format("is {}, expected STRING", entry->type_name()));
  return GgufStrings(*entry).next();
}

std::optional<std::vector<std::string>> GgufFile::texts(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  if (!entry->is_array_of(GgufType::kString))
    fail(*entry, fmt::format("is {}, expected ARRAY/STRING", entry->type_name()));
  std::vector<std::string> values;
  values.reserve(entry->count);
  GgufStrings strings(*entry);
  while (const auto text = strings.next()) values.emplace_back(*text);
  return values;
}

std::optional<std::vector<float>> GgufFile::floats(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  if (!entry->is_array_of(GgufType::kFloat32))
    fail(*entry, fmt::format("is {}, expected ARRAY/FLOAT32", entry->type_name()));
  std::vector<float> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), entry->elements.data(), entry->elements.size());
  return values;
}

std::optional<std::vector<int32_t>> GgufFile::integers(std::string_view key) const {
  const GgufEntry* const entry = find(key);
  if (!entry) return std::nullopt;
  if (!entry->is_array_of(GgufType::kInt32) && !entry->is_array_of(GgufType::kUint32))
    fail(*entry, fmt::format("is {}, expected ARRAY/INT32", entry->type_name()));
  std::vector<int32_t> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), entry->elements.data(), entry->elements.size());
  return values;
}

}  // namespace sluice
