// See footprint.h.
#include "core/check/footprint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>

namespace sluice::check {
namespace {

long entries(const char* folder) {
  std::error_code error;
  long count = 0;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    count++;
  return count;
}

}  // namespace

CapturedOutput::CapturedOutput() {
  std::fflush(nullptr);
  file_ = memfd_create("output", MFD_CLOEXEC);
  stdout_ = fcntl(1, F_DUPFD_CLOEXEC, 3), stderr_ = fcntl(2, F_DUPFD_CLOEXEC, 3);
  dup2(file_, 1), dup2(file_, 2);
}

CapturedOutput::~CapturedOutput() {
  std::fflush(nullptr);
  dup2(stdout_, 1), dup2(stderr_, 2);
  for (int file : {file_, stdout_, stderr_})
    if (file >= 0) close(file);
}

std::string CapturedOutput::text() const {
  std::fflush(nullptr);
  std::string text(size_t(std::max<off_t>(lseek(file_, 0, SEEK_END), 0)), '\0');
  const ssize_t got = pread(file_, text.data(), text.size(), 0);
  text.resize(size_t(std::max<ssize_t>(got, 0)));
  return text;
}

Footprint Footprint::now() {
  Footprint result;
  result.threads = entries("/proc/self/task"), result.files = entries("/proc/self/fd");
  volatile float tiny = std::numeric_limits<float>::denorm_min();
  result.flushes_denormals = tiny * 2 == 0;
  for (int number = 1; number < 32; number++) {
    struct sigaction action;
    std::memset(&action, 0, sizeof action);
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
      result.handlers += fmt::format(" {}", number);
  }
  return result;
}

std::string Footprint::grown(const Footprint& later) const {
  if (later.threads > threads) return fmt::format("starts {} thread(s)", later.threads - threads);
  if (later.files > files) return fmt::format("opens {} file(s)", later.files - files);
  if (later.flushes_denormals && !flushes_denormals)
    return "switches denormal numbers off for the whole thread, as -ffast-math does at link time";
  if (later.handlers != handlers) return fmt::format("handles signals{} from now on", later.handlers);
  return {};
}

}  // namespace sluice::check
