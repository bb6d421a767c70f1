// The pool behind sluice_host.parallel: workers that spin for a while and then sleep, and one 64-bit word
// from which everybody, the caller included, claims indices. Knows nothing of what it runs.
#include "core/plugins/thread_pool.h"

#include <sched.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/plugins/watchdog.h"

namespace sluice {
namespace {

constexpr int kSpins = 20000;             // some hundred microseconds; a decode step forks far more often than that
constexpr uint32_t kClaimsPerThread = 4;  // the first claim is 1 / (4 threads) of the work, later ones get smaller

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

unsigned available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return unsigned(CPU_COUNT(&set));
  const unsigned n = std::thread::hardware_concurrency();
  return n ? n : 1;
}

thread_local bool inside_job = false;

}  // namespace

// `work` holds (number of the run, indices not claimed yet). Whoever lowers the count owns the indices it took
// off, and because the run cannot end before these are done, the plain members below stay as they are meanwhile.
// A worker that sleeps or is preempted has claimed nothing and delays nobody.
struct ThreadPool::Impl {
  alignas(64) std::atomic<uint64_t> work{0};
  alignas(64) std::atomic<uint32_t> done{0};  // indices finished in this run
  std::atomic<uint32_t> caller_sleeps{0};
  alignas(64) std::atomic<uint32_t> bell{0};  // what sleeping workers wait on
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stop{false};

  uint32_t n = 0;
  void (*job)(void*, uint32_t) = nullptr;
  void* arg = nullptr;
  uint32_t run_number = 0;
  uint32_t share = 1;  // a claim takes 1 / share of what is left

  std::atomic<bool> failed{false};
  std::exception_ptr error;  // written by the one that sets `failed`
  std::mutex one_caller;
  std::vector<std::thread> workers;

  // Claims and runs indices until none is left.
  void help() {
    uint64_t seen = work.load(std::memory_order_acquire);
    while (uint32_t(seen) != 0) {
      const uint32_t left = uint32_t(seen), take = left / share > 1 ? left / share : 1;
      if (!work.compare_exchange_weak(seen, seen - take, std::memory_order_acquire)) continue;
      const uint32_t total = n;
      for (uint32_t i = total - left; i < total - left + take; i++) {
        try {
          job(arg, i);
        } catch (...) {
          if (!failed.exchange(true)) error = std::current_exception();
        }
      }
      if (done.fetch_add(take) + take == total && caller_sleeps.load()) done.notify_one();
      seen = work.load(std::memory_order_acquire);
    }
  }

  void worker() {
    inside_job = true;
    list_verb_place();  // now: the first verb on this thread may belong to a step, which allocates nothing
    while (!stop.load(std::memory_order_acquire)) {
      for (int i = 0; i < kSpins && uint32_t(work.load(std::memory_order_relaxed)) == 0; i++) pause_briefly();
      help();
      if (uint32_t(work.load(std::memory_order_relaxed)) != 0) continue;
      sleepers.fetch_add(1);  // announced first, looked again second; the caller publishes first, looks second
      const uint32_t heard = bell.load();
      if (uint32_t(work.load()) == 0 && !stop.load()) bell.wait(heard);
      sleepers.fetch_sub(1);
    }
  }

  void ring() {
    bell.fetch_add(1);
    bell.notify_all();
  }

  void shut_down() {
    stop.store(true);
    ring();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }
};

ThreadPool::ThreadPool(unsigned threads) : impl_(std::make_unique<Impl>()) {
  const unsigned wanted = threads ? threads : available_cores();
  impl_->workers.reserve(wanted - 1);
  impl_->share = kClaimsPerThread * wanted;
  try {
    for (unsigned i = 1; i < wanted; i++) impl_->workers.emplace_back([impl = impl_.get()] { impl->worker(); });
  } catch (const std::system_error& e) {
    const size_t got = impl_->workers.size() + 1;
    impl_->shut_down();
    throw Error(fmt::format("threads = {}: the system gave only {} ({}); set a smaller number", wanted, got, e.what()),
                kExitFailed);
  }
}

ThreadPool::~ThreadPool() { impl_->shut_down(); }

unsigned ThreadPool::threads() const { return unsigned(impl_->workers.size()) + 1; }

void ThreadPool::run(uint32_t n, void (*job)(void* arg, uint32_t i), void* arg) {
  if (n <= 1 || inside_job || impl_->workers.empty()) {
    std::exception_ptr error;
    for (uint32_t i = 0; i < n; i++) {
      try {
        job(arg, i);
      } catch (...) {
        if (!error) error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
    return;
  }
  Impl& pool = *impl_;
  const std::lock_guard lock(pool.one_caller);
  pool.n = n;
  pool.job = job;
  pool.arg = arg;
  pool.done.store(0, std::memory_order_relaxed);
  pool.work.store(uint64_t(++pool.run_number) << 32 | n);
  if (pool.sleepers.load() != 0) pool.ring();
  inside_job = true;
  pool.help();
  inside_job = false;

  for (int i = 0; i < kSpins && pool.done.load(std::memory_order_acquire) != n; i++) pause_briefly();
  if (pool.done.load(std::memory_order_acquire) != n) {
    pool.caller_sleeps.store(1);
    for (uint32_t finished = pool.done.load(); finished != n; finished = pool.done.load()) pool.done.wait(finished);
    pool.caller_sleeps.store(0);
  }
  if (pool.failed.load(std::memory_order_relaxed)) {
    pool.failed.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(pool.error, nullptr));
  }
}

}  // namespace sluice
