// sluice/guard.hpp - optional, for plugins written in C++: exceptions stop here. A verb runs its body through
// guard(), and what the body throws becomes a sluice_status with a message. Also instances in memory that the host
// counts, and counters for its reports. Header only; leaves parameters to the plugin.
#ifndef SLUICE_GUARD_HPP
#define SLUICE_GUARD_HPP

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "plugin.h"

namespace sluice {

// What a plugin throws when it wants to choose the status: throw Failure(SLUICE_UNSUPPORTED, "needs head_dim 64").
class Failure : public std::runtime_error {
 public:
  Failure(sluice_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  sluice_status status() const { return status_; }

 private:
  sluice_status status_;
};

// Runs body() and returns SLUICE_OK, or the status of what it threw after telling host->fail() why.
template <class Body>
sluice_status guard(const sluice_host* host, Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return SLUICE_OK;
  } catch (const Failure& failure) {
    return host->fail(host, failure.status(), failure.what());
  } catch (const std::bad_alloc&) {
    return host->fail(host, SLUICE_NO_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return host->fail(host, SLUICE_INTERNAL, error.what());
  } catch (...) {
    return host->fail(host, SLUICE_INTERNAL, "an exception of an unknown type");
  }
}

// An object in memory that the host counts. host_delete() undoes it.
template <class T, class... Arguments>
T* host_new(const sluice_host* host, Arguments&&... arguments) {
  void* memory = host->alloc(host, sizeof(T), alignof(T));
  if (!memory) throw std::bad_alloc();
  try {
    return new (memory) T(std::forward<Arguments>(arguments)...);
  } catch (...) {
    host->free(host, memory);
    throw;
  }
}

template <class T>
void host_delete(const sluice_host* host, T* object) {
  object->~T();
  host->free(host, object);
}

// Counters through sluice.host.stats/1; a host without it hears nothing.
class Stats {
 public:
  explicit Stats(const sluice_host* host)
      : host_(host), table_(static_cast<const sluice_host_stats*>(host->extension(host, SLUICE_HOST_STATS))) {
    if (table_ && table_->layout != SLUICE_HOST_STATS_LAYOUT) table_ = nullptr;
  }
  // `name` is a string literal. Once per call of a verb.
  void add(const char* name, double numerator, double denominator) const {
    if (table_) table_->add(host_, name, numerator, denominator);
  }

 private:
  const sluice_host* host_;
  const sluice_host_stats* table_;
};

}  // namespace sluice
#endif
