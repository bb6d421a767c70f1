// One writer at a time: a lock on a file beside the store, which ends with the process that holds it, however that
// ends, and which says who it is.
#pragma once

#include <filesystem>

namespace sluice {

class StoreLock {
 public:
  // Throws Error naming the process that holds it.
  explicit StoreLock(const std::filesystem::path& file);
  ~StoreLock();
  StoreLock(const StoreLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace sluice
