// See watchdog.h: the list of places, and the thread that looks at them.
#include "core/plugins/watchdog.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "core/plugins/crash_watch.h"

namespace sluice {

thread_local constinit VerbPlace verb_place;
constinit std::atomic<bool> verbs_held;

namespace {

// Never destroyed: threads may end after main() does.
struct Places {
  std::mutex mutex;
  std::vector<const VerbPlace*> list;
};
Places& places() {
  static auto& all = *new Places;
  return all;
}

struct Unlisted {
  bool armed = false;
  ~Unlisted() {
    const std::lock_guard lock(places().mutex);
    std::erase(places().list, &verb_place);
  }
};

constexpr uint32_t kBeats = 20;

}  // namespace

void list_verb_place() {
  if (verb_place.listed) return;
  prepare_thread_for_crashes();
  static thread_local Unlisted at_end;
  at_end.armed = true;  // constructs it
  const std::lock_guard lock(places().mutex);
  places().list.push_back(&verb_place);
  verb_place.listed = true;
}

uint64_t verb_calls() {
  const std::lock_guard lock(places().mutex);
  uint64_t sum = 0;
  for (const VerbPlace* place : places().list) sum += place->inner.number.load();
  return sum / 2;
}

void wait_while_verbs_are_held() {
  while (verbs_held.load() && !verb_place.looks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

HungVerb VerbWatch::beat(bool hold) {
  const std::lock_guard lock(places().mutex);
  std::vector<Seen> now;
  const VerbPlace::Call* hung = nullptr;
  uint64_t number = 0;
  for (const VerbPlace* place : places().list)
    for (const VerbPlace::Call* call : {&place->inner, &place->outer}) {
      const Seen seen{call, call->number.load(), 1};
      if (!call->verb.load(std::memory_order_relaxed)) continue;
      const auto before = std::find_if(seen_.begin(), seen_.end(),
                                       [&](const Seen& s) { return s.call == seen.call && s.number == seen.number; });
      now.push_back(seen);
      if (before != seen_.end()) now.back().beats += before->beats;
      if (now.back().beats > beats_ && !hung) hung = call, number = seen.number;
    }
  seen_ = std::move(now);
  if (!hung) return {};
  // It may end at this moment, and then its name with it.
  verb_place.looks = true;
  verbs_held = true;
  HungVerb found;
  // A thread on its way out clears the names before it counts.
  const char *who = hung->who.load(), *verb = hung->verb.load();
  if (who && verb && hung->number.load() == number) found = {who, verb};
  if (!hold || found.verb.empty()) verbs_held = false;
  return found;
}

struct Watchdog::Impl {
  std::mutex mutex;
  std::condition_variable ended;
  bool end = false;
  std::thread thread;

  // Counts its own beats, so that a stopped process has all the time in the world.
  void watch(double seconds, const std::function<void(const HungVerb&)>& hung) {
    VerbWatch watch(kBeats);
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, std::chrono::duration<double>(seconds / kBeats), [&] { return end; })) {
      const HungVerb found = watch.beat(true);
      if (found.verb.empty()) continue;
      lock.unlock();
      hung(found);
      verbs_held = false;
      return;
    }
  }
};

Watchdog::Watchdog(double seconds, std::function<void(const HungVerb&)> hung) : impl_(std::make_unique<Impl>()) {
  if (seconds > 0)
    impl_->thread = std::thread([impl = impl_.get(), seconds, hung = std::move(hung)] { impl->watch(seconds, hung); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->end = true;
  }
  impl_->ended.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

}  // namespace sluice
