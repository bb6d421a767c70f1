// What becomes of a command when a plugin's verb never returns or takes the program down: it says which, in which file,
// writes the results that are finished, and ends with exit code 1. Noticing it is core/plugins' business (watchdog.h,
// crash_watch.h).
#pragma once

#include <functional>
#include <memory>

namespace sluice {

class Registry;

class HangGuard {
 public:
  // `seconds` a verb may take; 0: any. `registry` knows which file a module is from.
  HangGuard(double seconds, const Registry& registry);
  ~HangGuard();
  HangGuard(const HangGuard&) = delete;

  // Writes what is finished. It runs on another thread, while the one that called this is stuck in a verb or waits for
  // one that is, and no thread leaves a verb meanwhile. Empty: nothing is finished.
  void keep(std::function<void()> write);

  // Forgets what was kept when it goes, however its block ends: what keep() was given may refer to the block's own.
  struct Block {
    explicit Block(HangGuard& of) : guard(of) {}
    Block(const Block&) = delete;
    ~Block() { guard.keep({}); }
    HangGuard& guard;
  };

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
