// Where dense rows and slot tables lie if the host cannot reach what attention reads: an arena in the device's memory,
// and copies on a queue of its own, in the order in which they were asked for. On a device whose memory is the host's
// there is none of this.
#pragma once

#include <mutex>

#include "core/cache/arena.h"

namespace sluice {

class RowStore {
 public:
  // `backend` outlives it.
  RowStore(const Instance& backend, uint64_t reserve);
  ~RowStore();
  RowStore(const RowStore&) = delete;

  Arena& arena() { return arena_; }
  // Asked for, done by finish(). Of the pieces that are copied from, the memory may be released at once. [any thread]
  void copy(void* to, const void* from, uint64_t bytes);
  void zero(void* to, uint64_t bytes);
  // Done on return. [any thread]
  void read(const void* from, void* host, uint64_t bytes);
  void write(void* to, const void* host, uint64_t bytes);
  // Other queues may use what was asked for.
  void finish();

 private:
  template <class Function, class... Arguments>
  void ask(const char* verb, Function function, Arguments... arguments);
  void wait();

  const Instance& backend_;
  Arena arena_;
  sluice_queue* queue_ = nullptr;
  bool pending_ = false;
  std::mutex mutex_;  // one thread at a time per queue
};

}  // namespace sluice
