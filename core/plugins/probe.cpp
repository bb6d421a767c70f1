// See probe.h: the child process, how it may end, and what is remembered of it.
#include "core/plugins/probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/plugins/describe.h"
#include "core/plugins/library.h"
#include "core/plugins/registry.h"

extern char** environ;

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int kReportFile = 3;        // where the child reports; its other files are closed to the library
constexpr char kStep[] = {'L', 'M'};  // loaded; looked at
constexpr std::string_view kPassed = "passed";

// Of the contents, eight bytes at a time: a library may have hundreds of megabytes.
uint64_t fingerprint(const fs::path& library) {
  const MappedFile file(library);
  uint64_t hash = 0xCBF29CE484222325u;
  const auto add = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  };
  const std::span<const std::byte> bytes = file.bytes();
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    add(word);
  }
  add(bytes.size());
  for (const char c : std::string_view(SLUICE_VERSION)) add(uint64_t(c));
  return hash;
}

struct Child {
  pid_t id = -1;
  int report = -1;  // what it wrote can be read here
};

Child start(const Prober& prober, const fs::path& library) {
  std::vector<std::string> words = prober.command;
  words.push_back(library.string());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return {};

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  for (int file = 0; file < 3; ++file)
    posix_spawn_file_actions_addopen(&files, file, "/dev/null", file == 0 ? O_RDONLY : O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, pipe[1], kReportFile);
  // A group of its own, so that what the library starts ends with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  Child child;
  if (posix_spawn(&child.id, argv[0], &files, &attributes, argv.data(), environ) != 0) child.id = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  ::close(pipe[1]);
  child.report = pipe[0];
  if (child.id < 0) ::close(pipe[0]);
  return child;
}

struct Ending {
  bool in_time = false;
  int status = 0;    // as waitpid() gives it
  size_t steps = 0;  // that were reported
};

// Waits for its end, not for the end of the pipe: others may hold that open.
Ending wait_for(const Child& child, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  Ending ending;
  ::fcntl(child.report, F_SETFL, O_NONBLOCK);
  const auto read_steps = [&] {
    char step = 0;
    while (::read(child.report, &step, 1) == 1)
      if (ending.steps < std::size(kStep) && step == kStep[ending.steps]) ++ending.steps;
  };
  while (!ending.in_time && Clock::now() < deadline) {
    pollfd news{child.report, POLLIN, 0};
    ::poll(&news, 1, 2);
    read_steps();
    ending.in_time = ::waitpid(child.id, &ending.status, WNOHANG) == child.id;
    if (!ending.in_time && (news.revents & POLLHUP)) ::usleep(500);  // about to end: poll() does not wait any more
  }
  ::kill(-child.id, SIGKILL);
  if (!ending.in_time) ::waitpid(child.id, &ending.status, 0);
  read_steps();
  ::close(child.report);
  return ending;
}

std::string judge(const Ending& ending, double seconds) {
  constexpr const char* kWhen[] = {"it is loaded", "its modules are looked at", "the program ends"};
  const char* when = kWhen[ending.steps];
  if (!ending.in_time) return fmt::format("does not come back within {:g} s when {}", seconds, when);
  if (WIFSIGNALED(ending.status)) return fmt::format("crashes when {} ({})", when, strsignal(WTERMSIG(ending.status)));
  const int code = WEXITSTATUS(ending.status);
  if (ending.steps < std::size(kStep)) return fmt::format("ends the program when {} (exit code {})", when, code);
  return code == 0 ? "" : fmt::format("makes the program fail when it ends (exit code {})", code);
}

}  // namespace

std::string probe_library(const Prober& prober, const fs::path& library) {
  fs::path memory;
  try {
    if (!prober.cache.empty()) memory = prober.cache / fmt::format("{:016x}", fingerprint(library));
    std::error_code error;
    if (!memory.empty() && fs::is_regular_file(memory, error)) {
      const std::string remembered = read_file(memory, 4096);
      if (remembered == kPassed) return {};
      if (!prober.again && !remembered.empty()) return remembered;
    }
  } catch (const Error&) {
    memory.clear();  // not readable: what follows will say so, if it matters
  }
  const Child child = start(prober, library);
  if (child.id < 0) return {};  // no process to be had; loading may still work
  const std::string reason = judge(wait_for(child, prober.seconds), prober.seconds);
  if (!memory.empty()) {
    try {
      std::error_code error;
      fs::create_directories(memory.parent_path(), error);
      write_file(memory, reason.empty() ? kPassed : std::string_view(reason));
    } catch (const Error&) {
      // Nothing is lost but the time of another probe.
    }
  }
  return reason;
}

int run_probe(const fs::path& library) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody is left to stop a library that hangs
#endif
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const auto report = [](char step) { return ::write(kReportFile, &step, 1) == 1; };
  const LoadedLibrary loaded = load_library(library);
  if (!report(kStep[0])) return kExitFailed;
  if (loaded.plugin) {
    ThreadPool pool(1);
    Registry registry({}, pool);
    registry.add(*loaded.plugin, library);
    for (const Module& module : registry.modules())
      if (module.module) describe_text(module);
  }
  return report(kStep[1]) ? kExitOk : kExitFailed;
}

fs::path probe_cache() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) return fs::path(folder) / "sluice/probes";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache/sluice/probes";
  return {};
}

}  // namespace sluice
