// Verbs that never return: who is found, and after how many looks.
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <future>
#include <new>
#include <thread>

#include "core/plugins/watchdog.h"

namespace sluice {
namespace {

// A thread that does one thing at a time, as told.
class Worker {
 public:
  Worker() : thread_([this] { work(); }) {}
  ~Worker() {
    done_ = true;
    run([] {});
    thread_.join();
  }
  // Returns when it is done.
  void run(std::function<void()> what) {
    what_ = std::move(what);
    go_.test_and_set(), go_.notify_one();
    go_.wait(true);
  }

 private:
  void work() {
    while (!done_) {
      go_.wait(false);
      what_();
      go_.clear(), go_.notify_one();
    }
  }
  std::function<void()> what_;
  std::atomic_flag go_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

std::string looks(VerbWatch& watch, int times) {
  std::string seen;
  for (int i = 0; i < times; i++) {
    const HungVerb hung = watch.beat();
    seen += hung.verb.empty() ? "." : "[" + hung.who + ", " + hung.verb + "]";
  }
  return seen;
}

TEST(VerbWatch, NamesACallThatItFindsTooOften) {
  VerbWatch watch(3);
  Worker worker;
  std::unique_ptr<InVerb> in;
  EXPECT_EQ(looks(watch, 5), ".....");
  worker.run([&] { in = std::make_unique<InVerb>("evictor slow", "select"); });
  EXPECT_EQ(looks(watch, 4), "...[evictor slow, select]");
  worker.run([&] { in.reset(); });
  EXPECT_EQ(looks(watch, 5), ".....");
}

// Busy is not hung: the same verb of the same module, but another call each time.
TEST(VerbWatch, CountsCallsAndNotVerbs) {
  VerbWatch watch(3);
  Worker worker;
  std::unique_ptr<InVerb> in;
  for (int i = 0; i < 10; i++) {
    worker.run([&] {
      in.reset();
      in = std::make_unique<InVerb>("codec busy", "dot");
    });
    EXPECT_EQ(looks(watch, 2), "..");
  }
  worker.run([&] { in.reset(); });
}

// A verb that calls the host, which calls another: the innermost that is there too long is named.
TEST(VerbWatch, KnowsNestedVerbs) {
  VerbWatch watch(3);
  Worker worker;
  std::unique_ptr<InVerb> outer, inner;
  worker.run([&] { outer = std::make_unique<InVerb>("evictor outer", "observe"); });
  EXPECT_EQ(looks(watch, 2), "..");
  worker.run([&] { inner = std::make_unique<InVerb>("evictor inner", "insert"); });
  EXPECT_EQ(looks(watch, 4), ".[evictor outer, observe][evictor outer, observe][evictor inner, insert]");
  worker.run([&] { inner.reset(); });
  EXPECT_EQ(looks(watch, 1), "[evictor outer, observe]");
  worker.run([&] { outer.reset(); });
  EXPECT_EQ(looks(watch, 4), "....");
}

// Busy inside is hung outside: however many verbs it has the host call, it does not return itself.
TEST(VerbWatch, SeesThroughVerbsThatCallBack) {
  VerbWatch watch(3);
  Worker worker;
  std::unique_ptr<InVerb> outer, inner;
  worker.run([&] { outer = std::make_unique<InVerb>("evictor reader", "rows.select"); });
  std::string seen;
  for (int i = 0; i < 4; i++) {
    worker.run([&] {
      inner.reset();
      inner = std::make_unique<InVerb>("codec read", "decode");
    });
    seen += looks(watch, 1);
  }
  EXPECT_EQ(seen, "...[evictor reader, rows.select]");
  worker.run([&] { inner.reset(), outer.reset(); });
}

// Who was found stays where he is until the one who looks is done.
TEST(VerbWatch, HoldsWhomItFound) {
  VerbWatch watch(1);
  Worker worker;
  std::unique_ptr<InVerb> in;
  worker.run([&] { in = std::make_unique<InVerb>("evictor slow", "select"); });
  EXPECT_TRUE(watch.beat(true).verb.empty());
  EXPECT_EQ(watch.beat(true).who, "evictor slow");
  std::atomic<bool> entered{false}, left{false};
  std::thread other([&] {
    {
      const InVerb brief("codec quick", "dot");
      entered = true, entered.notify_one();
    }
    left = true;
  });
  { const InVerb own("codec quick", "account"); }  // the one who looks may go on
  entered.wait(false);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(left);
  verbs_held = false;
  other.join();
  worker.run([&] { in.reset(); });
}

TEST(VerbWatch, ForgetsThreadsThatEnd) {
  VerbWatch watch(1);
  alignas(InVerb) std::byte room[sizeof(InVerb)];  // its thread ends without leaving the verb
  std::thread([&] { new (room) InVerb("evictor left", "reset"); }).join();
  EXPECT_EQ(looks(watch, 3), "...");
}

TEST(Watchdog, ReportsOnceAndEnds) {
  std::promise<HungVerb> reported;
  Watchdog watchdog(0.05, [&](const HungVerb& hung) { reported.set_value(hung); });
  const InVerb in("backend stuck", "wait");
  const HungVerb hung = reported.get_future().get();
  EXPECT_EQ(hung.who, "backend stuck");
  EXPECT_EQ(hung.verb, "wait");
}

TEST(Watchdog, EndsAtOnceWhenNothingHangs) {
  const Watchdog never(0, [](const HungVerb&) { FAIL(); });
  const Watchdog later(1e6, [](const HungVerb&) { FAIL(); });
}

}  // namespace
}  // namespace sluice
