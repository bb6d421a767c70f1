// See output.h.
#include "apps/output.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/base/error.h"

namespace sluice {
namespace {

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

void write_stdout(std::string_view text) {
  errno = 0;
  note(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

bool flush_stdout() {
  errno = 0;
  note(std::fflush(stdout) == 0);
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
