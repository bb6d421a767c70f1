// See peer.h.
#include "core/bench/peer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/bench/foreign_cpu.h"

namespace sluice {
namespace {

constexpr size_t kLongestLine = 4096;
constexpr double kLastSeconds = 2;  // that it has to end by itself

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Slice parse_answer(std::string_view line, double elapsed) {
  const auto refuse = [&](const std::string& why) {
    throw Error(
        fmt::format("answered \"{}\"{}; an answer is tokens and seconds, as in \"64 7.31\"", printable(line), why),
        kExitFailed);
  };
  double numbers[2] = {};
  const char *p = line.data(), *end = p + line.size();
  for (double& number : numbers) {
    while (p < end && *p == ' ') p++;
    const auto [next, error] = std::from_chars(p, end, number);
    if (error != std::errc() || !std::isfinite(number) || number <= 0) refuse("");
    p = next;
  }
  while (p < end && (*p == ' ' || *p == '\r')) p++;
  if (p != end) refuse("");
  // A little more may be the driver's rounding.
  if (numbers[1] > 1.01 * elapsed + 0.01) refuse(fmt::format(" after {:.3g} s", elapsed));
  return {numbers[0], numbers[1]};
}

Peer::Peer(std::vector<std::string> command, double limit, const std::atomic<bool>* stop)
    : command_(std::move(command)), limit_(limit), stop_(stop), description_(join(command_, " ")) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0) fail(fmt::format("no pipe: {}", std::strerror(errno)));
  if (pipe2(from, O_CLOEXEC) != 0) {
    close(to[0]), close(to[1]);
    fail(fmt::format("no pipe: {}", std::strerror(errno)));
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, to[0], 0);
  posix_spawn_file_actions_adddup2(&files, from[1], 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that Ctrl-C is ours to handle and what it started goes with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t defaults;
  sigemptyset(&defaults), sigaddset(&defaults, SIGPIPE), sigaddset(&defaults, SIGXFSZ);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  std::vector<char*> argv;
  for (std::string& word : command_) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error = argv[0] ? posix_spawnp(&child_, argv[0], &files, &attributes, argv.data(), environ) : ENOENT;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(to[0]), close(from[1]);
  to_ = to[1], from_ = from[0];
  if (error) {
    close(to_), close(from_);
    throw Error(fmt::format("--versus \"{}\": cannot be started: {}", printable(description_), std::strerror(error)));
  }
  fcntl(from_, F_SETFL, O_NONBLOCK);
}

Peer::~Peer() {
  close(to_), close(from_);
  if (child_ <= 0) return;
  const double deadline = now() + (broken_ ? 0 : kLastSeconds);
  while (waitpid(child_, nullptr, WNOHANG) == 0) {
    if (now() > deadline) {
      kill(-child_, SIGKILL);
      waitpid(child_, nullptr, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(-child_, SIGKILL);  // what it may have left behind
}

void Peer::fail(const std::string& what) {
  broken_ = true;
  throw Error(fmt::format("--versus \"{}\": {}", printable(join(command_, " ")), what), kExitFailed);
}

// Called when its stdout has ended.
std::string Peer::how_it_ended() {
  int status = 0;
  const double deadline = now() + kLastSeconds;
  pid_t ended = 0;
  while ((ended = waitpid(child_, &status, WNOHANG)) == 0 && now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (ended == 0) return "closed its stdout";
  const pid_t group = std::exchange(child_, 0);
  kill(-group, SIGKILL);
  if (WIFSIGNALED(status)) return "died of " + signal_text(WTERMSIG(status));
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

void Peer::send(std::string_view text) {
  // Into an empty pipe this little goes as a whole. Whether it was read shows by the answer.
  [[maybe_unused]] const ssize_t sent = write(to_, text.data(), text.size());
}

std::string Peer::line(double deadline) {
  for (;;) {
    if (const size_t end = unread_.find('\n'); end != unread_.npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (unread_.size() > kLongestLine)
      fail(fmt::format("wrote a line of more than {} bytes to stdout, where only answers belong", kLongestLine));
    if (stop_ && *stop_) {
      broken_ = true;
      throw Interrupted();
    }
    if (now() > deadline) fail(fmt::format("has not answered \"go\" for {:g} s; --versus-limit allows more", limit_));
    pollfd file{from_, POLLIN, 0};
    poll(&file, 1, 50);
    char part[1024];
    const ssize_t got = read(from_, part, sizeof part);
    if (got > 0) unread_.append(part, size_t(got));
    if (got == 0) fail(how_it_ended() + " without an answer to \"go\"");
  }
}

Slice Peer::ask() {
  const double start = now();
  send("go\n");
  for (;;) {
    const std::string text = line(start + limit_);
    if (!text.starts_with('#')) {
      try {
        return parse_answer(text, now() - start);
      } catch (const Error& error) {
        fail(error.what());
      }
    }
    const std::string about = printable(text.substr(std::min(text.find_first_not_of("# "), text.size())));
    description_ = std::exchange(described_, true) ? description_ + "; " + about : about;
  }
}

Slice Peer::turn() {
  const ForeignCpu foreign(child_);
  Slice sum;
  while (sum.seconds < kSliceSeconds) {
    const Slice one = ask();
    sum.tokens += one.tokens, sum.seconds += one.seconds;
  }
  sum.foreign = foreign.share();
  return sum;
}

}  // namespace sluice
