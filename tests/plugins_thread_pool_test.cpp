// The thread pool: every index once, nested and concurrent callers, exceptions, no allocation per run.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/plugins/thread_pool.h"

namespace {

std::atomic<size_t> allocations{0};

}  // namespace

[[gnu::noinline]] void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace sluice {
namespace {

TEST(ThreadPool, CountsTheCaller) {
  EXPECT_EQ(ThreadPool(1).threads(), 1u);
  EXPECT_EQ(ThreadPool(3).threads(), 3u);
  EXPECT_GE(ThreadPool(0).threads(), 1u);
}

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (unsigned threads : {1u, 2u, 3u, 5u}) {
    ThreadPool pool(threads);
    for (uint32_t n : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
      std::vector<std::atomic<int>> hits(n);
      pool.each(n, [&](uint32_t i) { hits[i].fetch_add(1); });
      for (uint32_t i = 0; i < n; i++)
        EXPECT_EQ(hits[i].load(), 1) << threads << " threads, index " << i << " of " << n;
    }
  }
}

TEST(ThreadPool, ResultsArePublishedToTheCaller) {  // plain memory on purpose: a missing fence is a race to tsan
  ThreadPool pool(3);
  std::vector<uint64_t> cells(97);
  for (uint64_t round = 1; round <= 3000; round++) {
    pool.each(uint32_t(cells.size()), [&](uint32_t i) { cells[i] += round + i; });
  }
  for (uint64_t i = 0; i < cells.size(); i++) EXPECT_EQ(cells[i], 3000u * 3001 / 2 + 3000 * i);
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; round++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));  // longer than workers spin
    // A barrier of all threads: passes only if every worker wakes and takes one index.
    std::atomic<int> arrived{0};
    pool.each(3, [&](uint32_t) {
      arrived.fetch_add(1);
      while (arrived.load() < 3) std::this_thread::yield();
    });
    EXPECT_EQ(arrived.load(), 3);
  }
}

TEST(ThreadPool, CallerSleepsUntilASlowWorkerEnds) {
  ThreadPool pool(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> finished{0};
  pool.each(2, [&](uint32_t) {
    // The caller's own job is short; the worker's outlasts the caller's spinning.
    if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    finished.fetch_add(1);
  });
  EXPECT_EQ(finished.load(), 2);
}

TEST(ThreadPool, NestedRunsAreSerial) {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  pool.each(8, [&](uint32_t) {
    const auto self = std::this_thread::get_id();
    uint32_t expected = 0;
    pool.each(5, [&](uint32_t i) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      EXPECT_EQ(i, expected++);
      total.fetch_add(1);
    });
  });
  EXPECT_EQ(total.load(), 40);
}

TEST(ThreadPool, SecondCallerWaits) {
  ThreadPool pool(2);
  std::atomic<uint64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; c++) {
    callers.emplace_back([&] {
      for (int round = 0; round < 300; round++) pool.each(11, [&](uint32_t i) { sum.fetch_add(i); });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 3u * 300 * 55);
}

TEST(ThreadPool, FirstExceptionComesBackAfterAllEnded) {
  for (unsigned threads : {1u, 3u}) {
    ThreadPool pool(threads);
    std::atomic<int> ended{0};
    try {
      pool.each(20, [&](uint32_t i) {
        ended.fetch_add(1);
        if (i % 7 == 3) throw std::runtime_error("job " + std::to_string(i));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(std::string(e.what()).substr(0, 4), "job ");
    }
    EXPECT_EQ(ended.load(), 20);
    std::atomic<int> after{0};  // the pool is as good as new
    EXPECT_NO_THROW(pool.each(4, [&](uint32_t) { after.fetch_add(1); }));
    EXPECT_EQ(after.load(), 4);
  }
}

TEST(ThreadPool, RunAllocatesNothing) {
  ThreadPool pool(3);
  std::atomic<int> hits{0};
  auto job = [&](uint32_t) { hits.fetch_add(1); };
  // A thread may take memory when it begins, which a busy machine puts off.
  std::mutex mutex;
  std::set<std::thread::id> begun;
  while (begun.size() < 3)
    pool.each(64, [&](uint32_t) {
      std::this_thread::yield();
      const std::lock_guard lock(mutex);
      begun.insert(std::this_thread::get_id());
    });
  const size_t before = allocations.load();
  for (int round = 0; round < 100; round++) pool.each(16, job);
  EXPECT_EQ(allocations.load(), before);
  EXPECT_EQ(hits.load(), 1600);
}

}  // namespace
}  // namespace sluice
