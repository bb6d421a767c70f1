// Notices a plugin's verb that never returns. Every thread has a place where it writes which verb it is in: a few
// plain stores, no clock, no lock. One thread looks at all places now and then; a verb that it finds in the same call
// too often is reported. What is done about it is up to the caller: the verb itself cannot be stopped.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// Where a thread is.
struct VerbPlace {
  std::atomic<uint64_t> calls{0};          // entered and left so far: the same number, the same call
  std::atomic<const char*> who{nullptr};   // "evictor h2o"
  std::atomic<const char*> verb{nullptr};  // "select"; NULL: in none
  bool listed = false;
};
extern thread_local constinit VerbPlace verb_place;
void list_verb_place();  // this thread's, until it ends
uint64_t verb_calls();   // that were made so far by the threads that live

// Marks this thread as being in a verb for as long as it lives. `who` and `verb` outlive it. May be nested: a verb that
// calls the host, which calls another.
class InVerb {
 public:
  InVerb(const char* who, const char* verb) : who_(verb_place.who), verb_(verb_place.verb) {
    if (!verb_place.listed) list_verb_place();
    enter(who, verb);
  }
  InVerb(const InVerb&) = delete;
  ~InVerb() { enter(who_, verb_); }

 private:
  static void enter(const char* who, const char* verb) {
    VerbPlace& place = verb_place;
    place.who.store(who, std::memory_order_relaxed);
    place.verb.store(verb, std::memory_order_relaxed);
    // Last: whoever sees the number sees what was done before the verb was entered.
    place.calls.store(place.calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  const char *who_, *verb_;  // of the verb around this one
};

struct HungVerb {
  std::string who, verb;  // both empty: none
};

// The looking, without a thread of its own.
class VerbWatch {
 public:
  // `beats`: how often a verb must be found in the same call to count as hung.
  explicit VerbWatch(uint32_t beats) : beats_(beats) {}
  // Looks at all threads once.
  HungVerb beat();

 private:
  struct Seen {
    const VerbPlace* place;
    uint64_t calls;
    uint32_t beats;
  };
  uint32_t beats_;
  std::vector<Seen> seen_;
};

// The thread that looks.
class Watchdog {
 public:
  // `hung` is called once, on the watchdog's thread, when a verb has not returned for `seconds` (0: never). The time
  // while the process is stopped does not count.
  Watchdog(double seconds, std::function<void(const HungVerb&)> hung);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
