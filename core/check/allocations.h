// Counts what code takes from the heap or the system while it is watched, in a program that need not replace malloc:
// the calls that loaded objects make to malloc's family and mmap are redirected through counters. What the C library
// calls of its own accord is not seen, nor a library that brings its allocator with it.
#pragma once

#include <cstdint>

namespace sluice::check {

// Redirects the calls of all objects that are loaded now.
void redirect_allocations();

// Between construction and stop(), on all threads. One at a time.
class AllocationWatch {
 public:
  AllocationWatch();
  ~AllocationWatch() { stop(); }
  AllocationWatch(const AllocationWatch&) = delete;
  uint64_t stop();  // allocations since construction
};

}  // namespace sluice::check
