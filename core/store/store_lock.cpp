// See store_lock.h.
#include "core/store/store_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this machine";
}

std::string holder(int file) {
  std::array<char, 300> text{};
  const ssize_t n = pread(file, text.data(), text.size() - 1, 0);
  return n > 0 ? printable(std::string_view(text.data(), size_t(n)), 300) : "another process";
}

}  // namespace

StoreLock::StoreLock(const std::filesystem::path& file) {
  file_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0)
    throw Error(fmt::format("{}: {}; the output folder must be yours to write", file.string(), std::strerror(errno)));
  if (flock(file_, LOCK_EX | LOCK_NB) == 0) {
    const std::string me = fmt::format("process {} on {}", getpid(), host_name());
    // Only for the message: a disk that is full is told by whoever writes what matters.
    if (ftruncate(file_, 0) == 0 && pwrite(file_, me.data(), me.size(), 0) < 0) errno = 0;
    return;
  }
  const int reason = errno;
  const std::string who = reason == EWOULDBLOCK ? holder(file_) : "";
  close(file_);
  if (reason != EWOULDBLOCK) throw Error(fmt::format("{}: cannot be locked: {}", file.string(), std::strerror(reason)));
  throw Error(
      fmt::format("{}: {} is writing to this store; a store has one writer at a time: wait for it, or use "
                  "another output folder",
                  file.parent_path().string(), who));
}

// The file stays: who removed it could remove another's.
StoreLock::~StoreLock() { close(file_); }

}  // namespace sluice
