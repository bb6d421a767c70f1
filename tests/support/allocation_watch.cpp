// See allocation_watch.h: replaces operator new of the whole program, so it belongs to test programs only.
#include "support/allocation_watch.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> live{0}, peak_live{0};
std::atomic<size_t> largest_piece{0};
int64_t live_at_start = 0;

void* try_take(size_t bytes, size_t alignment) noexcept {
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t))
    memory = std::malloc(bytes ? bytes : 1);
  else if (::posix_memalign(&memory, alignment, bytes ? bytes : 1) != 0)
    memory = nullptr;
  if (!memory) return nullptr;
  const int64_t now = live += int64_t(malloc_usable_size(memory));
  peak_live = std::max<int64_t>(peak_live, now);
  largest_piece = std::max<size_t>(largest_piece, bytes);
  return memory;
}

void* take(size_t bytes, size_t alignment) {
  void* const memory = try_take(bytes, alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void give(void* memory) noexcept {
  if (memory) live -= int64_t(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(size_t bytes) { return take(bytes, 1); }
void* operator new[](size_t bytes) { return take(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t alignment) { return take(bytes, size_t(alignment)); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return take(bytes, size_t(alignment)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return try_take(bytes, 1); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return try_take(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return try_take(bytes, size_t(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return try_take(bytes, size_t(alignment));
}
void operator delete(void* memory) noexcept { give(memory); }
void operator delete[](void* memory) noexcept { give(memory); }
void operator delete(void* memory, size_t) noexcept { give(memory); }
void operator delete[](void* memory, size_t) noexcept { give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { give(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { give(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { give(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { give(memory); }

namespace sluice::testing {

AllocationWatch::AllocationWatch() {
  live_at_start = live;
  peak_live = live_at_start;
  largest_piece = 0;
}

size_t AllocationWatch::largest() const { return largest_piece; }
size_t AllocationWatch::peak() const { return size_t(peak_live - live_at_start); }

}  // namespace sluice::testing
