// A folder for one test, gone with it; quickly written files; and what an expected Error says.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/error.h"

namespace sluice::testing {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice_test_XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder: " + name);
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Without write_file()'s care for the disk, and over the old bytes: a file that is emptied and written again waits
// for the disk when it is closed.
inline void put_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::error_code none;
  if (!std::filesystem::exists(path, none)) std::ofstream(path, std::ios::binary);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .write(bytes.data(), std::streamsize(bytes.size()));
  if (std::filesystem::file_size(path) != bytes.size()) std::filesystem::resize_file(path, bytes.size());
}

// The Error that f throws; one with exit code 0 if it throws none.
template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return Error("nothing was thrown", kExitOk);
}

}  // namespace sluice::testing
