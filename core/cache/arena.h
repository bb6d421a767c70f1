// The memory that caches live in: one reserved range of the backend or of the host, cut into pieces of any size
// (multiples of 64 bytes) by two-level segregated fit, so that taking and giving back is O(1), never calls malloc, and
// returns untouched slabs to the system. Counts live bytes per owner. Knows nothing of what pieces hold.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/plugins/registry.h"

namespace sluice {

// Who owns pieces: a sequence's cache or a snapshot. The arena keeps the sums.
struct ArenaOwner {
  // Bytes, multiples of 64. An owner may have pieces of two arenas.
  std::atomic<uint64_t> live{0}, peak{0};
};

// A piece of the arena. `node` identifies it; `bytes` is what it takes, a multiple of 64.
struct Piece {
  std::byte* data = nullptr;
  uint64_t bytes = 0;
  uint32_t node = 0;
  explicit operator bool() const { return data != nullptr; }
};

class Arena {
 public:
  // Reserves `reserve` bytes of address space on `backend`, which outlives the arena, or a half, a quarter … of it
  // where the system refuses; memory comes as needed.
  Arena(const Instance& backend, uint64_t reserve);
  // In the host's memory.
  explicit Arena(uint64_t reserve);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, contents undefined. Throws Error (exit 1) when the reserve or the backend's memory is used
  // up; nothing has changed then. [any thread]
  Piece allocate(uint64_t bytes, ArenaOwner& owner);
  void release(Piece& piece, ArenaOwner& owner);  // resets the piece; an empty one is ignored
  // Gives back what lies beyond `bytes`.
  void shrink(Piece& piece, uint64_t bytes, ArenaOwner& owner);

  uint64_t live() const { return live_; }  // bytes in pieces
  uint64_t peak() const { return peak_; }  // the most that live() was since reset_peak()
  void reset_peak() { peak_ = live_; }
  uint64_t committed() const { return committed_; }  // bytes backed by memory
  std::byte* base() const { return base_; }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFFu;
  static constexpr uint32_t kSecond = 16;  // second-level classes per power of two
  static constexpr uint64_t kUnit = 64, kSlab = uint64_t(1) << 21;
  struct Node {                               // a piece or a gap; the list in address order covers the reserve
    uint32_t first = 0, units = 0;            // in units of 64 bytes
    uint32_t before = kNone, after = kNone;   // neighbours in address order
    uint32_t previous = kNone, next = kNone;  // in the free list of its class
    bool free = false;
  };

  Arena(const Instance* backend, uint64_t reserve);
  void* reserve_range();
  void back(uint64_t slab, bool keep);  // or gives back
  uint32_t new_node();
  void insert_free(uint32_t node);
  void remove_free(uint32_t node);
  uint32_t find_free(uint64_t units) const;
  void split(uint32_t node, uint32_t units);
  void free_and_merge(uint32_t node);
  void touch(uint64_t first_unit, uint64_t units);    // commits the slabs it needs
  void untouch(uint64_t first_unit, uint64_t units);  // decommits slabs that became empty
  void account(ArenaOwner& owner, int64_t bytes);

  const Instance* backend_;  // NULL: the host
  std::byte* base_ = nullptr;
  uint64_t reserve_ = 0, live_ = 0, peak_ = 0, committed_ = 0, empty_slabs_ = 0;
  Node* nodes_ = nullptr;                                        // [node_capacity_], memory comes as it is touched
  uint32_t node_count_ = 0, node_capacity_ = 0, spare_ = kNone;  // spare_: nodes to use again
  uint32_t* slab_units_ = nullptr;                               // [slabs] units in use; kCommitted marks backed slabs
  std::array<uint32_t, 32> second_level_{};                      // bit s: class (f, s) has gaps
  uint32_t first_level_ = 0;                                     // bit f: some class (f, .) has gaps
  std::array<std::array<uint32_t, kSecond>, 32> free_{};         // heads of the free lists
  mutable std::mutex mutex_;
};

}  // namespace sluice
