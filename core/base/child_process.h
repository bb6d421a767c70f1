// Runs a program as a child with a time limit, for code that may crash, hang or litter: a new process rather than a
// fork, so that nothing of this one (threads, devices) is in it.
#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace sluice {

struct ChildEnd {
  enum class How { kExit, kSignal, kTimeout } how = How::kExit;
  int code = 0;        // exit code or signal
  std::string answer;  // what it wrote to the file descriptor kAnswerFile
  std::string output;  // stdout and stderr, at most 64 KiB
  double seconds = 0;
};
inline constexpr int kAnswerFile = 3;

inline constexpr char kThisProgram[] = "/proc/self/exe";

// command: the program's path and its words. Its whole process group is gone when this returns. Once `stop` is set the
// child is killed. Throws Error where no process is to be had.
ChildEnd run_child(const std::vector<std::string>& command, double seconds, const std::atomic<bool>* stop = nullptr);

// For the child, first thing: no core files, and no life without its parent.
void enter_child();
// False if the parent is gone.
bool answer(const std::string& text);

// "Segmentation fault (signal 11)"
std::string signal_text(int signal);

}  // namespace sluice
