// A safetensors file, mapped and validated before anyone uses it. What its tensors mean is decided in
// huggingface.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace sluice {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;            // "F32", "BF16", ... one of the format's
  std::vector<uint64_t> shape;  // outermost first; empty for a scalar
  uint64_t offset = 0;          // in the file
  uint64_t bytes = 0;
};

class SafetensorsFile {
 public:
  // Error naming the file and the offset or tensor, what was found and what would be right.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const MappedFile& file() const { return file_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by offset

 private:
  MappedFile file_;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace sluice
