// The process's worker threads: one persistent pool that backends, codecs and the cache share through
// sluice_host.parallel. Knows nothing of what it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace sluice {

class ThreadPool {
 public:
  // `threads` counts the caller: a pool of 1 starts none. 0 means one per available core.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const;
  // Runs job(arg, i) for all i < n and returns when all are done. Indices are taken from a shared counter,
  // so a slow core costs its share and not the step. Allocates nothing. Inside a job it runs serially. If
  // jobs throw, the first exception is thrown again here after all have ended. [one caller at a time;
  // a second caller waits]
  void run(uint32_t n, void (*job)(void* arg, uint32_t i), void* arg);
  template <class F>
  void each(uint32_t n, F&& job) {
    run(
        n, [](void* f, uint32_t i) { (*static_cast<std::remove_reference_t<F>*>(f))(i); }, &job);
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
