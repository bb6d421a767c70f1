// Runs the program as a shell would: its words, its environment, and what it left on stdout and stderr.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/file.h"
#include "support/scratch_folder.h"

namespace sluice::testing {

struct Outcome {
  int code = -1;
  std::string out, err;
  uint64_t peak = 0;  // bytes of memory at its worst moment; at least what the starting process had
};

class Program {
 public:
  // Starts it with these words and environment entries added to ours.
  explicit Program(const std::vector<std::string>& words, const std::vector<std::string>& variables = {}) {
    std::vector<std::string> all = {SLUICE_PROGRAM};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<char*> argv, environment;
    for (std::string& word : all) argv.push_back(word.data());
    argv.push_back(nullptr);
    // The first entry of a name counts.
    std::vector<std::string> own = variables;
    own.push_back("XDG_CACHE_HOME=" + cache());  // what it remembers of plugins is no business of the user's
    for (std::string& entry : own) environment.push_back(entry.data());
    for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
    environment.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out().c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err().c_str(), O_WRONLY | O_CREAT, 0600);
    EXPECT_EQ(posix_spawn(&child_, SLUICE_PROGRAM, &actions, nullptr, argv.data(), environment.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
  }

  pid_t id() const { return child_; }
  bool ended() {
    ended_ = ended_ || waitpid(child_, &status_, WNOHANG) == child_;
    return ended_;
  }
  Outcome wait() {
    rusage used{};
    if (!ended_) wait4(child_, &status_, 0, &used);
    EXPECT_TRUE(WIFEXITED(status_)) << "ended by signal " << WTERMSIG(status_);
    return {WEXITSTATUS(status_), read_file(out()), read_file(err()), uint64_t(used.ru_maxrss) * 1024};
  }

 private:
  std::string out() const { return (folder_ / "out").string(); }
  std::string err() const { return (folder_ / "err").string(); }
  static std::string cache() {
    static const ScratchFolder folder;
    return folder.path().string();
  }

  ScratchFolder folder_;
  pid_t child_ = 0;
  bool ended_ = false;
  int status_ = 0;
};

inline Outcome sluice(const std::vector<std::string>& words, const std::vector<std::string>& variables = {}) {
  return Program(words, variables).wait();
}

}  // namespace sluice::testing
