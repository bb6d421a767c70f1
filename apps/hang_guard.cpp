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
#include "core/plugins/crash_watch.h"
#include "core/plugins/registry.h"
#include "core/plugins/watchdog.h"

namespace sluice {

namespace {

constexpr double kWriteSeconds = 60;  // for what is finished after a crash, where a verb may take any time

void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

// " (/home/me/my_policy.sluice.so)"
std::string file_of(const std::string& who, const Registry& registry) {
  for (const Module& module : registry.modules())
    if (module.module && !module.library.empty() && module_title(*module.module) == who)
      return fmt::format(" ({})", module.library.string());
  return "";
}

}  // namespace

struct HangGuard::Impl {
  Impl(double limit, const Registry& modules)
      : seconds(limit),
        registry(modules),
        watchdog(limit,
                 [this](const HungVerb& hung) {
                   // Writing asks the same plugin for its bytes, which may hang as well.
                   std::thread([limit = seconds] {
                     std::this_thread::sleep_for(std::chrono::duration<double>(limit));
                     _exit(kExitFailed);
                   }).detach();
                   end(hung.who, hung.verb, fmt::format("has not returned for {:g} s ([plugins] limit)", seconds));
                 }),
        crashes(limit > 0 ? limit : kWriteSeconds,
                [this](const FallenVerb& fallen) { end(fallen.who, fallen.verb, fallen.how); }) {}

  [[noreturn]] void end(const std::string& who, const std::string& verb, const std::string& how) {
    say(fmt::format("\nsluice: {}{}, {}: {}; the run ends here\n", who, file_of(who, registry), verb, how));
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
  const Registry& registry;
  std::mutex mutex;
  std::function<void()> write;
  Watchdog watchdog;
  CrashWatch crashes;
};

HangGuard::HangGuard(double seconds, const Registry& registry) : impl_(std::make_unique<Impl>(seconds, registry)) {}
HangGuard::~HangGuard() = default;

void HangGuard::keep(std::function<void()> write) {
  const std::lock_guard lock(impl_->mutex);
  impl_->write = std::move(write);
}

}  // namespace sluice
