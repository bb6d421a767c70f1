// See interrupt.h.
#include "apps/interrupt.h"

#include <csignal>
#include <cstdio>

#include "core/base/error.h"

namespace sluice {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

void on_signal(int) { flag.store(true, std::memory_order_relaxed); }

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | int(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A terminal that closes; nohup has it ignored, and so it stays.
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void interrupt_reads(bool wanted) {
  struct sigaction action {};
  if (sigaction(SIGINT, nullptr, &action) != 0 || action.sa_handler != on_signal) return;
  action.sa_flags = wanted ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return flag.load(std::memory_order_relaxed); }
const std::atomic<bool>& interrupt_flag() { return flag; }

int partial_result() {
  std::fputs("sluice: interrupted: the result is partial\n", stderr);
  return kExitFailed;
}

}  // namespace sluice
