// What becomes of a command when a plugin's verb never returns: it says which, writes the results that are finished,
// and ends with exit code 1. Noticing it is the watchdog's business (core/plugins).
#pragma once

#include <functional>
#include <memory>

namespace sluice {

class HangGuard {
 public:
  // `seconds` a verb may take; 0: any.
  explicit HangGuard(double seconds);
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
