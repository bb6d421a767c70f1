// What one instance gets from the process: the sluice_host table and the state behind it (message of the last
// failure, counted memory, counters). Instance (registry.h) owns it; plugins see only the C table.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "core/plugins/registry.h"

namespace sluice {

struct HostState {
  // `owner`: of the instance that makes this one its part; its bytes and counters are the owner's, and the owner hears
  // its messages too.
  HostState(Registry& registry, const sluice_module& module, HostState* owner);
  HostState(const HostState&) = delete;

  // The message given to fail() on this thread since the last take, else the last one given on another
  // thread (by a job of host->parallel); empty if there was none.
  std::string take_message();
  // Forgets it: the call succeeded.
  void drop_message() {
    if (spoke.load(std::memory_order_relaxed)) take_message();
  }

  // Calls the module's create(): only while it runs may the module make parts.
  template <class Create>
  sluice_status run_create(Create&& create) {
    creating = true;
    const sluice_status status = create();
    creating = false;
    return status;
  }

  // The one whose bytes and counters are shown.
  HostState& root() { return owner ? owner->root() : *this; }
  // Keeps a message of the call now running on this thread.
  void keep_message(const std::string& text);

  sluice_host table{};
  Registry& registry;
  const sluice_module* const module;
  HostState* const owner;
  const uint64_t serial;              // no other host ever has it, while addresses are used again
  const std::string who;              // "evictor h2o", opens log lines and errors
  std::atomic<bool> creating{false};  // create() is running
  std::atomic<uint64_t> bytes{0};
  std::atomic<bool> spoke{false};  // fail() was called since the last take
  std::mutex mutex;                // of what follows
  std::vector<Counter> counters;
  std::string message;
  std::vector<Instance> parts;  // last: they go first
};
inline HostState& state_of(const sluice_host* host) { return *static_cast<HostState*>(host->ctx); }

// An Error for a status that a module returned, worded for the user.
[[noreturn]] void throw_status(HostState& host, sluice_status status, std::string_view verb);

}  // namespace sluice
