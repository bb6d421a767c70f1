// Device memory: ranges of address space, backed unit by unit, so that a cache gives memory back in the middle of a
// buffer that never moves; the weights' chunks, scratch, and the cap that all of it counts against.
#include <algorithm>
#include <new>
#include <utility>

#include "backends/cuda/cuda.h"
#include "sluice/size.hpp"

namespace sluice::cuda {
namespace {

constexpr uint64_t kWeightChunk = 64u << 20;
constexpr const char* kUses[] = {"weights", "activations", "the cache", "staging"};

uint64_t round_up(uint64_t n, uint64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Counts bytes against the cap, or explains why they may not be had and what would fit.
sluice_status take(Backend& backend, uint64_t bytes, const char* what) {
  uint64_t used = backend.used.load();
  do {
    if (bytes > backend.cap || used > backend.cap - bytes) {
      return fail(backend, SLUICE_NO_MEMORY,
                  "%s: asked for %s more, but %s are in use and memory allows %s in all; %s would fit", what,
                  readable(bytes).text, readable(used).text, readable(backend.cap).text,
                  readable(used < backend.cap ? backend.cap - used : 0).text);
    }
  } while (!backend.used.compare_exchange_weak(used, used + bytes));
  return SLUICE_OK;
}

// Backs and zeroes the units first .. last - 1 of a range, all or none. The mutex is held.
sluice_status back(Backend& backend, Range& range, uint64_t first, uint64_t last, const char* what) {
  const uint64_t unit = backend.gpu->unit();
  if (const sluice_status status = take(backend, (last - first) * unit, what)) return status;
  Code code = kFine;
  uint64_t done = first;
  for (; done < last && code == kFine; done++) {
    code = backend.gpu->back(range.address + done * unit);
    if (code == kFine) range.units[done] = true;
  }
  if (code == kFine)
    code = backend.gpu->fill(range.address + first * unit, 0, (last - first) * unit, backend.housekeeping);
  if (code == kFine) code = backend.gpu->wait(backend.housekeeping);
  if (code == kFine) return SLUICE_OK;
  for (uint64_t i = first; i < done; i++) {
    if (range.units[i]) backend.gpu->unback(range.address + i * unit);
    range.units[i] = false;
  }
  backend.used -= (last - first) * unit;
  if (code == kOutOfMemory) {
    DeviceFacts facts{};
    backend.gpu->facts(&facts);
    return fail(backend, SLUICE_NO_MEMORY, "%s: the device refused %s; %s of its %s are free", what,
                readable((last - first) * unit).text, readable(facts.memory_free).text,
                readable(facts.memory_total).text);
  }
  return answer(backend, code, what);
}

void unback(Backend& backend, Range& range, uint64_t first, uint64_t last) {
  const uint64_t unit = backend.gpu->unit();
  for (uint64_t i = first; i < last; i++) {
    if (!range.units[i]) continue;
    backend.gpu->unback(range.address + i * unit);
    range.units[i] = false;
    backend.used -= unit;
  }
}

// Reserves `bytes`, whole units, and backs them unless they are a cache's. The mutex is held.
sluice_status range_create(Backend& backend, uint32_t use, uint64_t bytes, const char* what, uint8_t** address) {
  const uint64_t unit = backend.gpu->unit();
  bytes = round_up(bytes, unit);
  void* at = nullptr;
  if (const Code code = backend.gpu->reserve(bytes, &at)) return answer(backend, code, what);
  try {
    backend.ranges.push_back({static_cast<uint8_t*>(at), bytes, use, std::vector<bool>(bytes / unit)});
  } catch (const std::bad_alloc&) {
    backend.gpu->unreserve(at, bytes);
    return fail(backend, SLUICE_NO_MEMORY, "%s: no memory for its bookkeeping", what);
  }
  *address = static_cast<uint8_t*>(at);
  if (use == SLUICE_USE_CACHE) return SLUICE_OK;
  const sluice_status status = back(backend, backend.ranges.back(), 0, bytes / unit, what);
  if (status != SLUICE_OK) {
    backend.gpu->unreserve(at, bytes);
    backend.ranges.pop_back();
  }
  return status;
}

// The mutex is held.
bool range_destroy(Backend& backend, void* address) {
  const auto found =
      std::find_if(backend.ranges.begin(), backend.ranges.end(), [&](const Range& r) { return r.address == address; });
  if (found == backend.ranges.end()) return false;
  unback(backend, *found, 0, found->units.size());
  backend.gpu->unreserve(address, found->bytes);
  backend.ranges.erase(found);
  return true;
}

}  // namespace

sluice_status buffer_create(void* self, uint32_t use, uint64_t bytes, void** address) {
  Backend& backend = backend_of(self);
  if (use > SLUICE_USE_STAGING) return fail(backend, SLUICE_INVALID, "there is no use %u of a buffer", use);
  if (bytes == 0 || bytes > uint64_t(1) << 46) {
    return fail(backend, SLUICE_INVALID, "a buffer for %s of %llu bytes", kUses[use], (unsigned long long)bytes);
  }
  const std::lock_guard lock(backend.mutex);
  if (use != SLUICE_USE_STAGING) {
    uint8_t* at = nullptr;
    const sluice_status status = range_create(backend, use, bytes, kUses[use], &at);
    *address = at;
    return status;
  }
  if (const Code code = backend.gpu->pin(bytes, address)) return answer(backend, code, kUses[use]);
  try {
    backend.pinned.emplace_back(*address, bytes);
  } catch (const std::bad_alloc&) {
    backend.gpu->unpin(*address);
    return fail(backend, SLUICE_NO_MEMORY, "staging: no memory for its bookkeeping");
  }
  return SLUICE_OK;
}

void buffer_destroy(void* self, void* address) {
  Backend& backend = backend_of(self);
  const std::lock_guard lock(backend.mutex);
  if (range_destroy(backend, address)) return;
  const auto found = std::find_if(backend.pinned.begin(), backend.pinned.end(),
                                  [&](const auto& pinned) { return pinned.first == address; });
  if (found == backend.pinned.end()) return;
  backend.gpu->unpin(address);
  backend.pinned.erase(found);
}

sluice_status commit(void* self, void* address, uint64_t bytes, int32_t keep) {
  Backend& backend = backend_of(self);
  const uint64_t unit = backend.gpu->unit();
  const std::lock_guard lock(backend.mutex);
  const auto* const at = static_cast<const uint8_t*>(address);
  const auto range = std::find_if(backend.ranges.begin(), backend.ranges.end(), [&](const Range& r) {
    return r.use == SLUICE_USE_CACHE && at >= r.address && at + bytes <= r.address + r.bytes;
  });
  if (range == backend.ranges.end()) {
    return fail(backend, SLUICE_INVALID, "commit: the range does not lie in one CACHE buffer");
  }
  const uint64_t offset = uint64_t(at - range->address);
  if (offset % unit || bytes % unit) {
    return fail(backend, SLUICE_INVALID, "commit: address and size must be multiples of a page (%llu bytes)",
                (unsigned long long)unit);
  }
  const uint64_t first = offset / unit, last = first + bytes / unit;
  if (!keep) {
    unback(backend, *range, first, last);
    return SLUICE_OK;
  }
  for (uint64_t i = first; i < last; i++) {
    if (range->units[i]) return fail(backend, SLUICE_INVALID, "commit: part of the range is backed already");
  }
  return back(backend, *range, first, last, kUses[SLUICE_USE_CACHE]);
}

sluice_status reserve(Backend& backend, sluice_queue& queue, Scratch& scratch, uint64_t bytes, const char* what) {
  if (bytes <= scratch.bytes) return SLUICE_OK;
  const uint64_t grown = round_up(std::max(bytes, scratch.bytes + scratch.bytes / 2), backend.gpu->unit());
  const std::lock_guard lock(backend.mutex);
  uint8_t* at = nullptr;
  if (const sluice_status status = range_create(backend, SLUICE_USE_ACTIVATIONS, grown, what, &at)) return status;
  try {
    if (scratch.data) queue.outgrown.push_back(scratch.data);
  } catch (const std::bad_alloc&) {
    range_destroy(backend, at);
    return fail(backend, SLUICE_NO_MEMORY, "%s: no memory for its bookkeeping", what);
  }
  scratch = {at, grown};
  return SLUICE_OK;
}

sluice_status weight_room(Backend& backend, uint64_t bytes, uint8_t** address) {
  bytes = round_up(bytes, 256);
  const std::lock_guard lock(backend.mutex);
  const auto size_of = [&](const Chunk& chunk) {
    return std::find_if(backend.ranges.begin(), backend.ranges.end(),
                        [&](const Range& r) { return r.address == chunk.address; })
        ->bytes;
  };
  for (Chunk& chunk : backend.chunks) {
    if (size_of(chunk) - chunk.used < bytes) continue;
    *address = chunk.address + chunk.used;
    chunk.used += bytes, chunk.weights++;
    return SLUICE_OK;
  }
  // Where memory is short, no more than is needed.
  const uint64_t used = backend.used.load(), left = used < backend.cap ? backend.cap - used : 0;
  const uint64_t size = std::max(bytes, std::min(kWeightChunk, left / 8));
  uint8_t* at = nullptr;
  if (const sluice_status status = range_create(backend, SLUICE_USE_WEIGHTS, size, kUses[SLUICE_USE_WEIGHTS], &at)) {
    return status;
  }
  try {
    backend.chunks.push_back({at, bytes, 1});
  } catch (const std::bad_alloc&) {
    range_destroy(backend, at);
    return fail(backend, SLUICE_NO_MEMORY, "weights: no memory for their bookkeeping");
  }
  *address = at;
  return SLUICE_OK;
}

void weight_free(Backend& backend, uint8_t* address, uint64_t) {
  const std::lock_guard lock(backend.mutex);
  for (size_t i = 0; i < backend.chunks.size(); i++) {
    Chunk& chunk = backend.chunks[i];
    if (address < chunk.address || address >= chunk.address + chunk.used) continue;
    if (--chunk.weights > 0) return;
    range_destroy(backend, chunk.address);
    backend.chunks.erase(backend.chunks.begin() + ptrdiff_t(i));
    return;
  }
}

void release_all(Backend& backend) {
  const std::lock_guard lock(backend.mutex);
  while (!backend.ranges.empty()) range_destroy(backend, backend.ranges.back().address);
  for (const auto& [address, bytes] : backend.pinned) backend.gpu->unpin(address);
}

sluice_status write(void* self, sluice_queue* queue, void* to, const void* host, uint64_t bytes) {
  const Backend& backend = backend_of(self);
  return bytes ? answer(backend, backend.gpu->copy(to, host, bytes, queue->stream), "write") : SLUICE_OK;
}
sluice_status read(void* self, sluice_queue* queue, const void* from, void* host, uint64_t bytes) {
  const Backend& backend = backend_of(self);
  return bytes ? answer(backend, backend.gpu->copy(host, from, bytes, queue->stream), "read") : SLUICE_OK;
}
sluice_status fill(void* self, sluice_queue* queue, void* to, uint8_t byte, uint64_t bytes) {
  const Backend& backend = backend_of(self);
  return bytes ? answer(backend, backend.gpu->fill(to, byte, bytes, queue->stream), "fill") : SLUICE_OK;
}

}  // namespace sluice::cuda
