// See row_store.h.
#include "core/cache/row_store.h"

namespace sluice {

RowStore::RowStore(const Instance& backend, uint64_t reserve) : backend_(backend), arena_(backend, reserve) {
  backend_.call("queue_create", backend_.table<sluice_backend>().queue_create, 1u, &queue_);
}

RowStore::~RowStore() {
  const auto& table = backend_.table<sluice_backend>();
  table.wait(backend_.self(), queue_);
  table.queue_destroy(backend_.self(), queue_);
}

template <class Function, class... Arguments>
void RowStore::ask(const char* verb, Function function, Arguments... arguments) {
  backend_.call(verb, function, queue_, arguments...);
  pending_ = true;
}

void RowStore::wait() {
  if (pending_) backend_.call("wait", backend_.table<sluice_backend>().wait, queue_);
  pending_ = false;
}

void RowStore::copy(void* to, const void* from, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  ask("write", backend_.table<sluice_backend>().write, to, from, bytes);
}

void RowStore::zero(void* to, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  ask("fill", backend_.table<sluice_backend>().fill, to, uint8_t(0), bytes);
}

void RowStore::read(const void* from, void* host, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  ask("read", backend_.table<sluice_backend>().read, from, host, bytes);
  wait();
}

void RowStore::write(void* to, const void* host, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  ask("write", backend_.table<sluice_backend>().write, to, host, bytes);
  wait();
}

void RowStore::finish() {
  const std::lock_guard lock(mutex_);
  wait();
}

}  // namespace sluice
