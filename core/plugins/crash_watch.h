// Notices a plugin's verb that takes the process down: a crash, an abort, or a call of exit(). The thread that fell
// stays where it is, no other leaves a verb, and a thread of this file's tells the caller, who may write what is
// finished. What takes no notice of anybody (_exit, SIGKILL) is not noticed, nor a job of host->parallel that crashes on
// another thread than its verb's.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace sluice {

// So that a thread can still say what happened when a verb used up its stack or calls exit(). Before its first verb.
void prepare_thread_for_crashes();

struct FallenVerb {
  std::string who, verb;  // "evictor h2o", "select"
  std::string how;        // "crashed: Segmentation fault (signal 11)", "ended the program with exit()"
};

// One at a time in a process. Where a sanitizer watches, crashes stay the sanitizer's business.
class CrashWatch {
 public:
  // `fallen` is called once; it does not return. If it crashes too, or takes longer than `seconds` (0: any), the
  // process ends with exit code 1 all the same. That a verb fell was then said on stderr, if nothing else.
  CrashWatch(double seconds, std::function<void(const FallenVerb&)> fallen);
  ~CrashWatch();
  CrashWatch(const CrashWatch&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
