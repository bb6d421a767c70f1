// Notices a plugin's verb that never returns. Every thread has a place where it writes which verb it is in: a few
// stores, no clock, no lock. One thread looks at all places now and then; a verb that it finds in the same call
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
  struct Call {
    std::atomic<const char*> who{nullptr};   // "evictor h2o"
    std::atomic<const char*> verb{nullptr};  // "select"; NULL: in none
    std::atomic<uint64_t> number{0};         // entered and left so far: the same number, the same call
  };
  Call inner, outer;  // the verb it is in, and the outermost, which called the host that called the others
  bool listed = false, looks = false;
};
extern thread_local constinit VerbPlace verb_place;
// Set while the one who looks acts upon a hung verb: threads that leave a verb wait, so that what he found stays so.
extern constinit std::atomic<bool> verbs_held;
void wait_while_verbs_are_held();
void list_verb_place();  // this thread's, until it ends
uint64_t verb_calls();   // that were made so far by the threads that live

// Marks this thread as being in a verb for as long as it lives. `who` and `verb` outlive it. May be nested: a verb that
// calls the host, which calls another.
class InVerb {
 public:
  InVerb(const char* who, const char* verb) : who_(verb_place.inner.who), verb_(verb_place.inner.verb) {
    if (!verb_place.listed) list_verb_place();
    enter(verb_place.inner, who, verb);
    if (!verb_) enter(verb_place.outer, who, verb);
  }
  InVerb(const InVerb&) = delete;
  ~InVerb() {
    enter(verb_place.inner, who_, verb_);
    if (!verb_) enter(verb_place.outer, nullptr, nullptr);
    // Either this thread sees that verbs are held, or who holds them sees that the verb has ended.
    if (verbs_held.load()) wait_while_verbs_are_held();
  }

 private:
  static void enter(VerbPlace::Call& call, const char* who, const char* verb) {
    call.who.store(who, std::memory_order_relaxed);
    call.verb.store(verb, std::memory_order_relaxed);
    // Last: whoever sees the number sees what was done before the verb was entered.
    call.number.store(call.number.load(std::memory_order_relaxed) + 1);
  }
  const char *who_, *verb_;  // of the verb around this one
};

struct HungVerb {
  std::string who, verb;  // both empty: none
};

// The looking, without a thread of its own.
class VerbWatch {
 public:
  // `beats`: how often a verb must be found in the same call to count as hung. Of verbs that called one another the
  // innermost that did not return in that time is named.
  explicit VerbWatch(uint32_t beats) : beats_(beats) {}
  // Looks at all threads once. If a verb hangs, with `hold` no thread leaves any verb from then on, but for this one.
  HungVerb beat(bool hold = false);

 private:
  struct Seen {
    const VerbPlace::Call* call;
    uint64_t number;
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
