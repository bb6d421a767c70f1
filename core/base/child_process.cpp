// See child_process.h.
#include "core/base/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>

#include "core/base/error.h"

namespace sluice {
namespace {

constexpr size_t kMostOutput = 64 << 10, kMostAnswer = 64 << 20;

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw Error(fmt::format("no pipe to a child: {}", std::strerror(errno)), kExitFailed);
    // Out of the way of the numbers that the child gets.
    read = fcntl(ends[0], F_DUPFD_CLOEXEC, 10), write = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    const int error = errno;
    close(ends[0]), close(ends[1]);
    if (read < 0 || write < 0) {
      close(read), close_write();
      throw Error(fmt::format("no pipe to a child: {}", std::strerror(error)), kExitFailed);
    }
    fcntl(read, F_SETFL, O_NONBLOCK);
  }
  ~Pipe() { close(read), close_write(); }
  Pipe(const Pipe&) = delete;
  void close_write() {
    if (write >= 0) close(write);
    write = -1;
  }
  // What has come by now, or a part of it if more comes than is read; `most` is kept.
  void drain(std::string& text, size_t most) const {
    char part[4096];
    for (int turns = 0; turns < 64; turns++) {
      const ssize_t got = ::read(read, part, sizeof part);
      if (got <= 0) return;
      if (text.size() < most) text.append(part, size_t(got));
    }
  }
};

pid_t start(std::vector<std::string> command, const Pipe& answer, const Pipe& output) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output.write, 1);
  posix_spawn_file_actions_adddup2(&files, output.write, 2);
  posix_spawn_file_actions_adddup2(&files, answer.write, kAnswerFile);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int error = posix_spawn(&child, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error) throw Error(fmt::format("no child process: {}", std::strerror(error)), kExitFailed);
  return child;
}

}  // namespace

ChildEnd run_child(const std::vector<std::string>& command, double seconds, const std::atomic<bool>* stop) {
  using Clock = std::chrono::steady_clock;
  Pipe answer, output;
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  const pid_t child = start(command, answer, output);
  answer.close_write(), output.close_write();
  ChildEnd end;
  int status = 0;
  // A pipe that hung up is ready for ever; poll() passes over it once its number is negative.
  pollfd files[] = {{answer.read, POLLIN, 0}, {output.read, POLLIN, 0}};
  for (;;) {
    // Descendants may keep the pipes open; the child itself counts.
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno == ECHILD) throw Error("the end of a child process is kept from this one", kExitFailed);
    if (elapsed() > seconds) {
      end.how = ChildEnd::How::kTimeout;
      kill(-child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    if (stop && *stop) {
      kill(-child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    const bool open = files[0].fd >= 0 || files[1].fd >= 0;  // the child still holds its ends
    poll(files, std::size(files), open ? 20 : 1);
    answer.drain(end.answer, kMostAnswer), output.drain(end.output, kMostOutput);
    for (pollfd& file : files)
      if (file.revents & POLLHUP) file.fd = -1;
  }
  kill(-child, SIGKILL);  // what it may have started
  answer.drain(end.answer, kMostAnswer), output.drain(end.output, kMostOutput);
  end.seconds = elapsed();
  if (end.how == ChildEnd::How::kTimeout) return end;
  end.how = WIFSIGNALED(status) ? ChildEnd::How::kSignal : ChildEnd::How::kExit;
  end.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

void enter_child() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  fcntl(kAnswerFile, F_SETFD, FD_CLOEXEC);
}

bool answer(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(kAnswerFile, text.data() + done, text.size() - done);
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) done += size_t(wrote);
  }
  return true;
}

std::string signal_text(int signal) { return fmt::format("{} (signal {})", strsignal(signal), signal); }

}  // namespace sluice
