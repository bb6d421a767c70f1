// Checks that an evictor's choices follow from its sequence alone: the same again, beside others, after moves, forks
// and new slot numbers, and on many threads.
#include <fmt/format.h>

#include <latch>
#include <optional>
#include <thread>

#include "core/check/evictor_checks.h"
#include "core/check/evictor_trial.h"

namespace sluice::check {
namespace {

constexpr uint32_t kSteps = 60, kInterval = 4;
constexpr Habits kPlain{.moves = false, .reuses_late = false}, kMoving{.moves = true, .reuses_late = false};

struct Run {
  Record victims;
  GuardedState state;
};

// A sequence of its own from the first token on; `between` is called after each step.
template <class Between>
Run run(const Trial& trial, const Habits& habits, uint64_t slot_seed, uint64_t stream, Between&& between) {
  EvictorDriver driver = trial.driver(slot_seed, habits);
  Run result;
  for (uint32_t step = 0; step < kSteps; step++) {
    append(result.victims, driver.step(kInterval, trial.attention(step, stream)));
    between(step, driver);
  }
  result.state = driver.state();
  return result;
}
Run run(const Trial& trial, const Habits& habits, uint64_t slot_seed = 1, uint64_t stream = 0) {
  return run(trial, habits, slot_seed, stream, [](uint32_t, EvictorDriver&) {});
}

void expect_same(const Record& one, const Record& other, uint32_t lanes, const std::string& why) {
  for (size_t i = 0; i < one.size(); i++)
    if (one[i] != other[i])
      fail(fmt::format("{}: in step {} other tokens of lane {} leave", why, i / lanes, i % lanes));
}

}  // namespace

void evictor_deterministic(const Subject& subject) {
  const Trial one(subject, 2, kInterval), other(subject, 2, kInterval);
  const Run first = run(one, kPlain), again = run(other, kPlain);
  expect_same(first.victims, again.victims, 2, "the same calls again");
  expect(first.state == again.state, "the same calls again leave other bytes in the state");
}

void evictor_alone(const Subject& subject) {
  const Trial alone(subject, 2, kInterval), beside(subject, 2, kInterval);
  const Run first = run(alone, kPlain);
  std::optional<EvictorDriver> neighbour;
  const Run second = run(beside, kPlain, 1, 0, [&](uint32_t step, EvictorDriver&) {
    if (step % 16 == 0) neighbour.emplace(beside.driver(1, kPlain));
    neighbour->step(kInterval, beside.attention(step, 1));
  });
  expect_same(first.victims, second.victims, 2, "with calls for another sequence in between");
  expect(first.state == second.state, "calls for another sequence in between leave other bytes in the state");
}

void evictor_moved(const Subject& subject) {
  const Trial trial(subject, 2, kInterval);
  const Run still = run(trial, kPlain), moving = run(trial, kMoving);
  expect_same(still.victims, moving.victims, 2, "with the state moved between calls");
}

void evictor_slots(const Subject& subject) {
  const Trial trial(subject, 2, kInterval);
  const Run in_order = run(trial, kMoving), shuffled = run(trial, kMoving, subject.seed + 2);
  expect_same(in_order.victims, shuffled.victims, 2, "with other slot numbers");
}

void evictor_freed(const Subject& subject) {
  Trial trial(subject, 2, kInterval);
  const Run at_once = run(trial, kMoving);
  trial.shape.capacity += 5 * kInterval;
  const Run late = run(trial, Habits{});
  expect_same(at_once.victims, late.victims, 2, "when the slots of victims stay free for a while");
}

void evictor_fork(const Subject& subject) {
  const Trial trial(subject, 2, kInterval);
  std::optional<EvictorDriver> fork;
  Record victims;
  const Run whole = run(trial, Habits{}, 1, 0, [&](uint32_t step, EvictorDriver& driver) {
    if (fork) append(victims, fork->step(kInterval, trial.attention(step)));
    if (step == kSteps / 2) fork.emplace(driver);
  });
  expect_same(victims, Record(whole.victims.end() - ptrdiff_t(victims.size()), whole.victims.end()), 2, "after a fork");
  expect(fork->state() == whole.state, "a fork ends with other bytes in its state");
}

void evictor_threads(const Subject& subject) {
  constexpr uint32_t kThreads = 8;
  const Trial trial(subject, 3, kInterval);
  Record alone[kThreads], together[kThreads];
  std::optional<Outcome> wrong[kThreads];
  std::vector<std::thread> threads;
  std::latch start(kThreads);
  for (uint32_t t = 0; t < kThreads; t++) alone[t] = run(trial, Habits{}, t + 2, t).victims;
  for (uint32_t t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      try {
        start.arrive_and_wait();
        for (int again = 0; again < 3; again++) together[t] = run(trial, Habits{}, t + 2, t).victims;
      } catch (const Outcome& outcome) {
        wrong[t] = outcome;
      } catch (const std::exception& error) {
        wrong[t].emplace(Verdict::kFail, error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (uint32_t t = 0; t < kThreads; t++) {
    if (wrong[t] && wrong[t]->verdict != Verdict::kFail) throw Outcome(*wrong[t]);
    if (wrong[t]) fail(std::string("on 8 threads: ") + wrong[t]->what());
    expect_same(alone[t], together[t], 3, fmt::format("on 8 threads with a state each, thread {}", t));
  }
}

void evictor_resize(const Subject& subject) {
  Trial trial(subject, 2, kInterval);
  const Run fixed = run(trial, Habits{});
  const Run resized = run(trial, Habits{}, subject.seed + 2, 0, [&](uint32_t step, EvictorDriver& driver) {
    if (step % 5 == 0) driver.resize(trial.shape.capacity + step % 25, true);
  });
  expect_same(fixed.victims, resized.victims, 2, "after resize() to other slots");
}

}  // namespace sluice::check
