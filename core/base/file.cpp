// See file.h. POSIX calls only; every failure becomes an Error with the path and errno in words.

#include "core/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr size_t kBuffer = size_t(1) << 20;

std::string reason_text(int reason) { return std::error_code(reason, std::generic_category()).message(); }

[[noreturn]] void fail_reading(const std::filesystem::path& path, std::string_view reason) {
  throw Error(fmt::format("{}: {}", printable(path.string(), 4096), reason));
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int value() const { return value_; }

 private:
  int value_;
};

// Returns at once, also for a pipe that nobody writes to yet.
int open_to_read(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail_reading(path, fmt::format("cannot be opened: {}", reason_text(errno)));
  return file;
}

// Waits for a pipe or a terminal until there is something to read. A signal ends the wait, or a set `stop`: it may have
// come just before.
void wait_for_bytes(const std::filesystem::path& path, int file, const std::atomic<bool>* stop) {
  pollfd waiting{file, POLLIN, 0};
  int ready = 0;
  while (ready == 0 && !(stop && *stop)) ready = ::poll(&waiting, 1, 100);
  if (ready < 0 && errno != EINTR) fail_reading(path, fmt::format("cannot be read: {}", reason_text(errno)));
  if (ready <= 0) throw Error(fmt::format("{}: interrupted while waiting for it", path.string()), kExitFailed);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(open_to_read(path));
  struct stat status {};
  if (::fstat(file.value(), &status) != 0) fail_reading(path, reason_text(errno));
  if (S_ISDIR(status.st_mode)) fail_reading(path, "is a folder, expected a file");
  if (!S_ISREG(status.st_mode)) fail_reading(path, "is not a regular file, so it cannot be mapped");
  size_ = size_t(status.st_size);
  if (size_ == 0) return;  // an empty map is not possible, an empty file is
  void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value(), 0);
  if (data == MAP_FAILED) fail_reading(path, fmt::format("cannot be mapped: {}", reason_text(errno)));
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

MappedFile::~MappedFile() { unmap(); }

void MappedFile::unmap() noexcept {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::drop_range(uint64_t offset, uint64_t bytes) const {
  if (offset >= size_) return;
  // Only whole pages inside the range: the neighbours' pages may still be wanted.
  const uint64_t page = uint64_t(::sysconf(_SC_PAGESIZE));
  const uint64_t end = offset + std::min(bytes, size_ - offset);
  const uint64_t first = (offset + page - 1) / page * page, last = end == size_ ? end : end / page * page;
  if (first < last) ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target) {
  struct stat status {};
  const bool exists = ::stat(target.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) throw Error(fmt::format("{}: is a folder, expected a file", target.string()));
  if (exists && !S_ISREG(status.st_mode)) {
    file_ = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail("cannot be opened for writing", errno);
    return;
  }
  // A link keeps pointing at its file: the rename happens where the link leads.
  std::error_code ignored;
  if (exists) target_ = std::filesystem::canonical(target, ignored);
  if (ignored) target_ = target;
  static std::atomic<unsigned> serial{0};
  for (int attempt = 0; file_ < 0; attempt++) {
    temporary_ = target_;
    temporary_ += fmt::format(".{}-{}.tmp", ::getpid(), serial++);
    const mode_t mode = exists ? status.st_mode & 0777 : 0666;
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file_ < 0 && (errno != EEXIST || attempt == 100)) {
      temporary_.clear();
      fail("cannot be created", errno);
    }
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail(std::string_view what, int reason) {
  discard();
  throw Error(fmt::format("{}: {}: {}", target_.string(), what, reason_text(reason)), kExitFailed);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  assert(file_ >= 0);
  written_ += bytes.size();
  while (!bytes.empty()) {
    const size_t take = std::min(bytes.size(), kBuffer - buffer_.size());
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), take);
    bytes = bytes.subspan(take);
    if (buffer_.size() == kBuffer) flush();
  }
}

void AtomicFile::flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t wrote = ::write(file_, buffer_.data() + done, buffer_.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail("cannot be written", errno);
    done += size_t(wrote);
  }
  buffer_.clear();
}

void AtomicFile::commit() {
  assert(file_ >= 0);
  flush();
  // Pipes and devices have nothing to sync.
  if (!temporary_.empty() && ::fsync(file_) != 0) fail("cannot be written to the disk", errno);
  if (::close(std::exchange(file_, -1)) != 0) fail("cannot be closed", errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place", errno);
  temporary_.clear();
  // The new name lasts through a power cut once its folder is on the disk; not every file system can do that.
  const std::filesystem::path parent = target_.parent_path();
  const Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.value() >= 0) ::fsync(folder.value());
}

std::string read_file(const std::filesystem::path& path, uint64_t limit, const std::atomic<bool>* stop) {
  const Descriptor file(open_to_read(path));
  struct stat status {};
  if (::fstat(file.value(), &status) != 0) fail_reading(path, reason_text(errno));
  if (S_ISDIR(status.st_mode)) fail_reading(path, "is a folder, expected a file");
  const auto too_large = [&] { fail_reading(path, fmt::format("is larger than {} bytes", limit)); };
  if (S_ISREG(status.st_mode) && uint64_t(status.st_size) > limit) too_large();
  std::string text;
  for (;;) {
    // One more than the size says, so that a regular file ends in one round.
    const uint64_t expected = S_ISREG(status.st_mode) ? uint64_t(status.st_size) : 0;
    const size_t step = expected >= text.size() ? size_t(std::min(expected - text.size() + 1, limit + 1)) : kBuffer;
    const size_t before = text.size();
    text.resize(before + std::max<size_t>(step, 4096));
    if (!S_ISREG(status.st_mode)) wait_for_bytes(path, file.value(), stop);
    const ssize_t got = ::read(file.value(), text.data() + before, text.size() - before);
    const int reason = errno;
    text.resize(before + (got > 0 ? size_t(got) : 0));
    if (got < 0 && (reason == EINTR || reason == EAGAIN)) continue;
    if (got < 0) fail_reading(path, fmt::format("cannot be read: {}", reason_text(reason)));
    if (got == 0) return text;
    if (text.size() > limit) too_large();
  }
}

void write_file(const std::filesystem::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

}  // namespace sluice
