// Buffers, the weights' arena, scratch, and the cap that they count against. All of it is the host's own memory, so
// copies are memcpy.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "backends/cpu/cpu.h"
#include "sluice/size.hpp"

namespace sluice::cpu {
namespace {

constexpr uint64_t kChunk = 256u << 20;

uint64_t round_up(uint64_t n, uint64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Address space aligned to 2 MiB, accessible or not, that asks for huge pages.
void* map_aligned(uint64_t bytes, int protection) {
  const uint64_t mapped = bytes + kHugePage;
  void* raw = mmap(nullptr, mapped, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const uintptr_t from = uintptr_t(raw), at = round_up(from, kHugePage);
  if (at > from) munmap(raw, at - from);
  munmap(reinterpret_cast<void*>(at + bytes), from + mapped - (at + bytes));
  void* address = reinterpret_cast<void*>(at);
  if (bytes >= kHugePage) madvise(address, bytes, MADV_HUGEPAGE);  // a wish; refusal costs speed only
  return address;
}

uint64_t page_size() { return uint64_t(sysconf(_SC_PAGESIZE)); }

constexpr const char* kUses[] = {"weights", "activations", "the cache", "staging"};

}  // namespace

void* map_memory(uint64_t bytes) { return map_aligned(round_up(bytes, page_size()), PROT_READ | PROT_WRITE); }

void unmap_memory(void* address, uint64_t bytes) { munmap(address, round_up(bytes, page_size())); }

sluice_status take(Backend& backend, uint64_t bytes, const char* what) {
  uint64_t used = backend.used.load();
  do {
    if (backend.cap && (bytes > backend.cap || used > backend.cap - bytes)) {
      return fail(backend, SLUICE_NO_MEMORY, "%s: asked for %s more, but %s are in use and memory allows %s in all",
                  what, readable(bytes).text, readable(used).text, readable(backend.cap).text);
    }
  } while (!backend.used.compare_exchange_weak(used, used + bytes));
  return SLUICE_OK;
}

void* arena_allocate(Backend& backend, uint64_t bytes) {
  bytes = round_up(bytes, kLine);
  const std::lock_guard lock(backend.mutex);
  for (ArenaChunk& chunk : backend.chunks) {
    if (chunk.bytes - chunk.used < bytes) continue;
    void* data = chunk.base + chunk.used;
    chunk.used += bytes;
    chunk.weights++;
    return data;
  }
  const uint64_t size = std::max(kChunk, round_up(bytes, kHugePage));
  void* base = map_memory(size);
  if (!base) return nullptr;
  try {
    backend.chunks.push_back({static_cast<uint8_t*>(base), size, bytes, 1});
  } catch (const std::bad_alloc&) {
    unmap_memory(base, size);
    return nullptr;
  }
  return base;
}

void arena_free(Backend& backend, void* data) {
  const std::lock_guard lock(backend.mutex);
  for (size_t i = 0; i < backend.chunks.size(); i++) {
    ArenaChunk& chunk = backend.chunks[i];
    const uint8_t* at = static_cast<const uint8_t*>(data);
    if (at < chunk.base || at >= chunk.base + chunk.bytes) continue;
    if (--chunk.weights > 0) return;
    unmap_memory(chunk.base, chunk.bytes);
    backend.chunks.erase(backend.chunks.begin() + ptrdiff_t(i));
    return;
  }
}

void* reserve(const Backend& backend, Scratch& scratch, size_t bytes) {
  if (bytes <= scratch.bytes) return scratch.data;
  const size_t grown = std::max<size_t>(bytes, scratch.bytes + scratch.bytes / 2);
  backend.host->free(backend.host, scratch.data);
  scratch.data = backend.host->alloc(backend.host, grown, kLine);
  scratch.bytes = scratch.data ? grown : 0;
  return scratch.data;
}

bool prepare_workspaces(const Backend& backend, sluice_queue& queue, size_t bytes) {
  if (!queue.workspace_taken) {
    using Flag = std::atomic<uint32_t>;
    const uint32_t count = backend.threads + 1;
    auto* flags = static_cast<Flag*>(backend.host->alloc(backend.host, count * sizeof(Flag), alignof(Flag)));
    if (!flags) return false;
    for (uint32_t i = 0; i < count; i++) new (flags + i) Flag(0);
    queue.workspace_taken = flags;
    queue.workspace_count = count;
  }
  if (bytes <= queue.workspace_bytes) return true;
  const size_t grown = round_up(std::max(bytes, queue.workspace_bytes + queue.workspace_bytes / 2), kLine);
  queue.workspace_bytes = 0;
  if (!reserve(backend, queue.workspaces, grown * queue.workspace_count)) return false;
  queue.workspace_bytes = grown;
  return true;
}

sluice_status buffer_create(void* self, uint32_t use, uint64_t bytes, void** address) {
  Backend& backend = backend_of(self);
  if (use > SLUICE_USE_STAGING) return fail(backend, SLUICE_INVALID, "there is no use %u of a buffer", use);
  if (bytes == 0 || bytes > uint64_t(1) << 46) {
    return fail(backend, SLUICE_INVALID, "a buffer for %s of %llu bytes", kUses[use], (unsigned long long)bytes);
  }
  const bool reserved = use == SLUICE_USE_CACHE;  // counted by commit()
  if (!reserved) {
    if (const sluice_status status = take(backend, bytes, kUses[use])) return status;
  }
  void* memory = reserved ? map_aligned(round_up(bytes, page_size()), PROT_NONE) : map_memory(bytes);
  try {
    const std::lock_guard lock(backend.mutex);
    if (memory) backend.buffers.push_back({memory, bytes, use, 0});
  } catch (const std::bad_alloc&) {
    unmap_memory(memory, bytes);
    memory = nullptr;
  }
  if (!memory) {
    if (!reserved) give_back(backend, bytes);
    return fail(backend, SLUICE_NO_MEMORY, "%s: the system refused %s", kUses[use], readable(bytes).text);
  }
  *address = memory;
  return SLUICE_OK;
}

void buffer_destroy(void* self, void* address) {
  Backend& backend = backend_of(self);
  const std::lock_guard lock(backend.mutex);
  const auto found = std::find_if(backend.buffers.begin(), backend.buffers.end(),
                                  [&](const Buffer& b) { return b.address == address; });
  if (found == backend.buffers.end()) return;
  give_back(backend, found->use == SLUICE_USE_CACHE ? found->committed : found->bytes);
  unmap_memory(address, found->bytes);
  backend.buffers.erase(found);
}

sluice_status commit(void* self, void* address, uint64_t bytes, int32_t keep) {
  Backend& backend = backend_of(self);
  const uint64_t page = page_size();
  if (uintptr_t(address) % page || bytes % page) {
    return fail(backend, SLUICE_INVALID, "commit: address and size must be multiples of a page (%llu bytes)",
                (unsigned long long)page);
  }
  const auto owner = [&]() -> Buffer* {
    for (Buffer& b : backend.buffers) {
      const uint8_t* from = static_cast<const uint8_t*>(b.address);
      const uint8_t* at = static_cast<const uint8_t*>(address);
      if (b.use == SLUICE_USE_CACHE && at >= from && at + bytes <= from + round_up(b.bytes, page)) return &b;
    }
    return nullptr;
  };
  const std::lock_guard lock(backend.mutex);
  Buffer* buffer = owner();
  if (!buffer) return fail(backend, SLUICE_INVALID, "commit: the range does not lie in one CACHE buffer");
  if (!keep) {
    // The range stays accessible, which keeps the number of mappings small; its pages are gone and read as 0.
    if (bytes && madvise(address, bytes, MADV_DONTNEED) != 0) {
      return fail(backend, SLUICE_INTERNAL, "commit: the system did not take %s back", readable(bytes).text);
    }
    const uint64_t backed = std::min(bytes, buffer->committed);
    buffer->committed -= backed;
    give_back(backend, backed);
    return SLUICE_OK;
  }
  if (const sluice_status status = take(backend, bytes, "the cache")) return status;
  if (bytes && mprotect(address, bytes, PROT_READ | PROT_WRITE) != 0) {
    give_back(backend, bytes);
    return fail(backend, SLUICE_NO_MEMORY, "the cache: the system refused %s", readable(bytes).text);
  }
  buffer->committed += bytes;
  return SLUICE_OK;
}

sluice_status write(void*, sluice_queue*, void* to, const void* host, uint64_t bytes) {
  if (bytes) std::memcpy(to, host, bytes);
  return SLUICE_OK;
}
sluice_status read(void*, sluice_queue*, const void* from, void* host, uint64_t bytes) {
  if (bytes) std::memcpy(host, from, bytes);
  return SLUICE_OK;
}
sluice_status fill(void*, sluice_queue*, void* to, uint8_t byte, uint64_t bytes) {
  if (bytes) std::memset(to, byte, bytes);
  return SLUICE_OK;
}

}  // namespace sluice::cpu
