// A GGUF container (version 2 or 3, little endian), mapped and validated to the last offset before anyone uses
// it: metadata and tensors as they lie in the file. Whether they make a model is decided in gguf_model.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/model/gguf_value.h"

namespace sluice {

struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;                             // known to sluice_gguf_type_info()
  uint32_t dims = 1;                             // 1..4
  std::array<uint64_t, 4> shape = {1, 1, 1, 1};  // innermost first: shape[0] numbers make a row
  uint64_t offset = 0;                           // in the file
  uint64_t bytes = 0;
};

class GgufFile {
 public:
  static constexpr uint32_t kMagic = 0x46554747;  // the bytes G G U F
  static constexpr uint32_t kDefaultAlignment = 32;

  // Error with the file, the byte offset or the key or tensor, what was found and what would be right.
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }
  uint32_t version() const { return version_; }
  uint32_t alignment() const { return alignment_; }
  uint64_t data_offset() const { return data_offset_; }
  const std::vector<GgufEntry>& entries() const { return entries_; }   // in file order
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in file order
  std::span<const std::byte> data(const GgufTensor& tensor) const {
    return file_.bytes().subspan(tensor.offset, tensor.bytes);
  }

  const GgufEntry* find(std::string_view key) const;  // NULL if absent
  // Values by key: nullopt if the key is absent, Error if it has another type.
  std::optional<uint32_t> unsigned_value(std::string_view key) const;  // any integer type, 0 .. 2^32 - 1
  std::optional<double> number(std::string_view key) const;            // any integer or float type, finite
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<std::vector<std::string>> texts(std::string_view key) const;
  std::optional<std::vector<float>> floats(std::string_view key) const;
  std::optional<std::vector<int32_t>> integers(std::string_view key) const;
  // "FILE: key "general.name" (at byte 123): MESSAGE"
  [[noreturn]] void fail(const GgufEntry& entry, std::string_view message) const;

 private:
  void check_data();
  MappedFile file_;
  uint32_t version_ = 0, alignment_ = kDefaultAlignment;
  uint64_t data_offset_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace sluice
