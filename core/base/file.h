// Files: read-only maps, whole small files, and outputs that appear complete or not at all. Every failure
// is an Error naming the path and the system's reason. Formats are read elsewhere.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// A regular file mapped read-only. Move-only; the bytes stay where they are when it is moved. A file that
// another process shortens meanwhile cannot be guarded against: write files with AtomicFile.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  uint64_t size() const { return size_; }
  // A hint: the pages of a range (clipped to the file) are not needed any more.
  void drop_range(uint64_t offset, uint64_t bytes) const;

 private:
  void unmap() noexcept;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// An output file. Bytes go to a temporary beside the target, which takes the target's place in commit();
// without commit() nothing is left behind. A target that exists and is no regular file (a pipe, /dev/null) is
// written directly. A failed write, a full disk included, is an Error with exit code 1.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& target);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  uint64_t written() const { return written_; }
  const std::filesystem::path& target() const { return target_; }
  // Flushes to the disk and renames. Nothing can be written afterwards.
  void commit();

 private:
  void flush();
  void discard() noexcept;
  [[noreturn]] void fail(std::string_view what, int reason);
  std::filesystem::path target_, temporary_;  // temporary_ is empty when the target is written directly
  std::string buffer_;
  uint64_t written_ = 0;
  int file_ = -1;
};

// The whole file (or what comes out of a pipe). Error beyond `limit` bytes, and (exit 1) when a signal or a set `stop`
// ends the wait for a pipe.
std::string read_file(const std::filesystem::path& path, uint64_t limit = uint64_t(1) << 32,
                      const std::atomic<bool>* stop = nullptr);
// Through AtomicFile.
void write_file(const std::filesystem::path& target, std::string_view text);

}  // namespace sluice
