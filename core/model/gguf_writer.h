// Writes a GGUF file (version 3, little endian): metadata, then tensors streamed in order, none of them held in
// memory. The file appears under its name when finish() has succeeded, and not before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/model/gguf_value.h"

namespace sluice {

// Calls come in this order: set..., add_tensor..., then write() with the bytes of all tensors in the order of
// add_tensor() and in pieces of any size, then finish(). Keys and names are set once; sizes are the caller's promise.
class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& path) : file_(path) {}

  void set(std::string_view key, bool value);
  void set(std::string_view key, uint32_t value);
  void set(std::string_view key, int32_t value);
  void set(std::string_view key, uint64_t value);
  void set(std::string_view key, float value);
  void set(std::string_view key, double value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, const std::string& value) { set(key, std::string_view(value)); }
  void set(std::string_view key, std::span<const std::string> values);
  void set(std::string_view key, std::span<const float> values);
  void set(std::string_view key, std::span<const int32_t> values);
  // An entry of another file, whatever its type. general.alignment is left out: the writer's own holds.
  void copy(const GgufEntry& entry);

  // shape: innermost first, 1 to 4 dimensions. Returns the bytes that the tensor takes.
  uint64_t add_tensor(std::string_view name, uint32_t type, std::span<const uint64_t> shape);
  void write(std::span<const std::byte> bytes);
  void finish();

  uint64_t written() const { return file_.written(); }

 private:
  void begin_entry(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType element, uint64_t count);
  void write_head();
  void end_tensor();

  AtomicFile file_;
  std::string entries_, infos_;  // encoded
  uint64_t entry_count_ = 0, data_bytes_ = 0;
  std::vector<uint64_t> tensor_bytes_;  // in order
  bool head_written_ = false;
  size_t current_ = 0;          // the tensor being written
  uint64_t current_bytes_ = 0;  // of it so far
};

}  // namespace sluice
