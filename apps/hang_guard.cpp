// See hang_guard.h.
#include "apps/hang_guard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "apps/output.h"
#include "core/base/error.h"
#include "core/plugins/watchdog.h"

namespace sluice {

struct HangGuard::Impl {
  explicit Impl(double limit) : seconds(limit), watchdog(limit, [this](const HungVerb& verb) { end(verb); }) {}

  static void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

  [[noreturn]] void end(const HungVerb& verb) {
    say(fmt::format("\nsluice: {}, {}: has not returned for {:g} s ([plugins] limit); the run ends here\n", verb.who,
                    verb.verb, seconds));
    // Writing asks the same plugin for its bytes, which may hang as well.
    std::thread([limit = seconds] {
      std::this_thread::sleep_for(std::chrono::duration<double>(limit));
      _exit(kExitFailed);
    }).detach();
    try {
      const std::lock_guard lock(mutex);
      if (write) {
        write();
        say("sluice: the result is partial\n");
      }
    } catch (const std::exception& error) {
      say(fmt::format("sluice: the finished results could not be written: {}\n", error.what()));
    }
    // No destructor runs: what hangs still uses all of it.
    _exit(finish_stdout(kExitFailed));
  }

  const double seconds;
  std::mutex mutex;
  std::function<void()> write;
  Watchdog watchdog;
};

HangGuard::HangGuard(double seconds) : impl_(std::make_unique<Impl>(seconds)) {}
HangGuard::~HangGuard() = default;

void HangGuard::keep(std::function<void()> write) {
  const std::lock_guard lock(impl_->mutex);
  impl_->write = std::move(write);
}

}  // namespace sluice
