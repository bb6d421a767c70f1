// See output.h.
#include "apps/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/base/error.h"

namespace sluice {
namespace {

constexpr int kFirstFreeFile = 10;  // lower numbers have meanings between a program and its children

// Where the command's output goes. Not file 1: what plugins print must not get into it.
std::FILE* out = stdout;

// Of the first write that failed. The stream forgets it: a later flush with nothing to write succeeds.
int first_failure = 0;

void note(bool arrived) {
  if (!arrived && first_failure == 0) first_failure = errno ? errno : EIO;
}

}  // namespace

void guard_standard_files() {
  // Opened the wrong way round, so that using them fails as it would on the closed one.
  for (int file = 0; file < 3; ++file)
    if (fcntl(file, F_GETFD) < 0 && open("/dev/null", file == 0 ? O_WRONLY : O_RDONLY) < 0) return;
}

void keep_stdout_for_commands() {
  const int own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, kFirstFreeFile);
  std::FILE* const file = own < 0 ? nullptr : fdopen(own, "w");
  if (!file) return;  // all output goes where it always went
  out = file;
  dup2(STDERR_FILENO, STDOUT_FILENO);
}

void write_stdout(std::string_view text) {
  errno = 0;
  note(std::fwrite(text.data(), 1, text.size(), out) == text.size());
}

bool flush_stdout() {
  errno = 0;
  note(std::fflush(out) == 0);
  return first_failure == 0;
}

int finish_stdout(int code) {
  if (flush_stdout() || first_failure == EPIPE) return code;
  const std::string message =
      fmt::format("sluice: cannot write to stdout: {}\n", std::generic_category().message(first_failure));
  std::fwrite(message.data(), 1, message.size(), stderr);
  return code == kExitOk ? int(kExitFailed) : code;
}

}  // namespace sluice
