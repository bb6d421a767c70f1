// See crash_watch.h: handlers of signals and of exit(), which do only what a signal handler may, and the thread that
// wakes when one of them ran.
#include "core/plugins/crash_watch.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/plugins/watchdog.h"

namespace sluice {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr int kExited = -1;  // stands for a signal where exit() was called
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kWatchesSignals = false;
#else
constexpr bool kWatchesSignals = true;
#endif

// What fell, for the thread that tells. Written once, before `fell` is posted.
struct Fall {
  std::atomic<bool> taken{false}, watched{false};
  const char *who = nullptr, *verb = nullptr;
  int signal = 0;
  unsigned alarm_seconds = 0;
  sem_t fell;
};
Fall fall;

void write_text(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody is left to be told
}

// First words, in case nothing more can be said: what fell may have held the heap's lock.
void say_who(const char* who, const char* verb) {
  for (const char* text : {"\nsluice: ", who, ", ", verb, ": took the program down\n"}) write_text(text);
}

void end_late(int) { _exit(kExitFailed); }

// Hands over to the thread that tells, if this thread is in a verb and the first to fall. Does not return then.
void give_up(int signal) {
  const char *who = verb_place.inner.who.load(), *verb = verb_place.inner.verb.load();
  if (!who || !verb || !fall.watched) return;
  if (!fall.taken.exchange(true)) {
    fall.who = who, fall.verb = verb, fall.signal = signal;
    verbs_held = true;
    say_who(who, verb);
    struct sigaction late {};
    late.sa_handler = end_late;
    sigaction(SIGALRM, &late, nullptr);
    alarm(fall.alarm_seconds);
    sem_post(&fall.fell);
  }
  for (;;) pause();
}

void on_signal(int number) {
  give_up(number);
  // Not a plugin's: dies of it as if nobody had looked.
  ::signal(number, SIG_DFL);
  raise(number);
}

void on_exit() { give_up(kExited); }

// A verb that uses up the stack of its thread leaves none for a handler.
struct HandlerStack {
  static constexpr size_t kBytes = 64 << 10;
  std::unique_ptr<char[]> memory{new char[kBytes]};
  HandlerStack() {
    stack_t stack{};
    stack.ss_sp = memory.get(), stack.ss_size = kBytes;
    sigaltstack(&stack, nullptr);
  }
  ~HandlerStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
};

std::string how_text(int signal) {
  return signal == kExited ? "ended the program with exit()" : "crashed: " + signal_text(signal);
}

}  // namespace

void prepare_thread_for_crashes() {
  if (kWatchesSignals) static thread_local HandlerStack stack;
  // One per thread: a handler is used up by the first that calls exit(), and threads may do so side by side.
  static thread_local const int listening = std::atexit(on_exit) | std::at_quick_exit(on_exit);
  (void)listening;
}

struct CrashWatch::Impl {
  struct sigaction before[std::size(kSignals)] = {};
  std::atomic<bool> end{false};
  std::thread thread;

  void tell(const std::function<void(const FallenVerb&)>& fallen) {
    while (sem_wait(&fall.fell) != 0) {
    }
    if (end) return;
    verb_place.looks = true;  // what is written may call verbs
    fallen({fall.who, fall.verb, how_text(fall.signal)});
    _exit(kExitFailed);
  }
};

CrashWatch::CrashWatch(double seconds, std::function<void(const FallenVerb&)> fallen)
    : impl_(std::make_unique<Impl>()) {
  sem_init(&fall.fell, 0, 0);
  fall.alarm_seconds = unsigned(std::ceil(std::min(seconds, 1e6)));
  impl_->thread = std::thread([impl = impl_.get(), fallen = std::move(fallen)] { impl->tell(fallen); });
  if (kWatchesSignals) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &action, &impl_->before[i]);
  }
  fall.watched = true;
}

CrashWatch::~CrashWatch() {
  fall.watched = false;
  if (kWatchesSignals)
    for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &impl_->before[i], nullptr);
  impl_->end = true;
  sem_post(&fall.fell);
  impl_->thread.join();
  sem_destroy(&fall.fell);
}

}  // namespace sluice
