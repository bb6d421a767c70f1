// The parts of a sequence's cache in one layer: where each side keeps its rows, dense or coded, and which
// slots are taken. Data and the few moves that need no policy; when to make them is settle.cpp.
#pragma once

#include <cstring>
#include <span>
#include <utility>

#include "core/cache/row_store.h"

namespace sluice {

inline constexpr uint32_t kSegmentRows = 256;  // rows of a full segment

// An arena and whose bytes it counts: what everything that allocates is given. Dense rows, and tables that attention
// reads, have functions of their own: on a device they lie elsewhere.
struct Memory {
  Arena* arena;
  ArenaOwner* owner;
  RowStore* rows = nullptr;  // NULL: in `arena` as well
  Piece allocate(uint64_t bytes) const { return arena->allocate(bytes, *owner); }
  void release(Piece& piece) const { arena->release(piece, *owner); }
  void shrink(Piece& piece, uint64_t bytes) const { arena->shrink(piece, bytes, *owner); }

  Arena& row_arena() const { return rows ? rows->arena() : *arena; }
  Piece allocate_rows(uint64_t bytes) const { return row_arena().allocate(bytes, *owner); }
  void free_rows(Piece& piece) const { row_arena().release(piece, *owner); }
  void shrink_rows(Piece& piece, uint64_t bytes) const { row_arena().shrink(piece, bytes, *owner); }
  void copy_rows(void* to, const void* from, uint64_t bytes) const {
    if (bytes == 0) return;
    rows ? rows->copy(to, from, bytes) : void(std::memcpy(to, from, bytes));
  }
  void zero_rows(void* to, uint64_t bytes) const {
    if (bytes == 0) return;
    rows ? rows->zero(to, bytes) : void(std::memset(to, 0, bytes));
  }
  // From where rows lie to the host's memory and back.
  void read_rows(const void* from, void* host, uint64_t bytes) const {
    if (bytes == 0) return;
    rows ? rows->read(from, host, bytes) : void(std::memcpy(host, from, bytes));
  }
  void write_rows(void* to, const void* host, uint64_t bytes) const {
    if (bytes == 0) return;
    rows ? rows->write(to, host, bytes) : void(std::memcpy(to, host, bytes));
  }
};

// A growing array of plain values in the arena. Its owner releases it.
template <class T>
struct ArenaArray {
  Piece piece;
  uint32_t count = 0;

  T* data() const { return reinterpret_cast<T*>(piece.data); }
  T& operator[](uint32_t i) const { return data()[i]; }
  T* begin() const { return data(); }
  T* end() const { return data() + count; }
  uint32_t capacity() const { return uint32_t(piece.bytes / sizeof(T)); }
  void reserve(uint32_t n, const Memory& memory) {
    if (n <= capacity()) return;
    Piece larger = memory.allocate(uint64_t(n) * sizeof(T));
    if (count) std::memcpy(larger.data, piece.data, count * sizeof(T));
    memory.release(piece);
    piece = larger;
  }
  void push(const T& value, const Memory& memory) {
    if (count == capacity()) reserve(count ? count * 2 : uint32_t(128 / sizeof(T)) + 1, memory);
    data()[count++] = value;
  }
  void release(const Memory& memory) {
    memory.release(piece);
    count = 0;
  }
};

// Temporary memory from the arena, for one call.
template <class T>
class Scratch {
 public:
  Scratch(const Memory& memory, uint64_t n) : memory_(memory), piece_(memory.allocate(n * sizeof(T))) {}
  ~Scratch() { memory_.release(piece_); }
  Scratch(const Scratch&) = delete;
  T* data() const { return reinterpret_cast<T*>(piece_.data); }
  T& operator[](uint64_t i) { return data()[i]; }

 private:
  Memory memory_;
  Piece piece_;
};

// Dense F16 rows [rows][head_dim]. A shared segment belongs to a snapshot and is read only.
struct Segment {
  Piece piece;
  uint32_t rows = 0;  // it has room for
  bool shared = false;
};

// A coded block beside its span: what the span does not tell.
struct CodedBlock {
  Piece piece;         // the codec's bytes
  Piece map;           // uint16_t slots[rows], empty for a run
  uint64_t bytes = 0;  // of the piece that the codec uses
  uint64_t seed = 0;
  uint32_t prompt = 0;
};

// One side of one lane. Without a codec dense row r holds slot r. With one the dense rows are the side list
// (rescued rows, never coded again), then the tail, oldest first; their slots are `slots`, or the run from
// `first_slot` where nothing is ever evicted.
struct Side {
  ArenaArray<Segment> segments;
  uint32_t rows = 0;     // dense rows in use; without a codec: rows up to the highest slot ever used
  uint32_t rescued = 0;  // the first so many dense rows are the side list
  uint32_t first_slot = 0;
  ArenaArray<uint16_t> slots;     // [rows] of an evicting coded side
  ArenaArray<sluice_span> spans;  // [blocks], as codecs read them
  ArenaArray<CodedBlock> blocks;  // [blocks]
  ArenaArray<uint32_t> uncoded;   // of a simulated codec: slots of the rows that it has not seen, oldest first

  uint16_t* row(uint32_t r, uint32_t head_dim) const {
    return reinterpret_cast<uint16_t*>(segments[r / kSegmentRows].piece.data) + uint64_t(r % kSegmentRows) * head_dim;
  }
};

inline uint32_t slot_of(const sluice_span& span, uint32_t row) {
  return span.slot_base + (span.slots ? span.slots[row] : row);
}

// Room for `rows` dense rows: full segments and a last one of a multiple of 16 rows. New room is zeroed;
// what was shared is copied where it has to grow.
void grow_rows(Side& side, uint32_t rows, uint32_t head_dim, const Memory& memory);
// Gives back the room beyond `rows` dense rows. Rows stay where they are.
void trim_rows(Side& side, uint32_t rows, uint32_t head_dim, const Memory& memory);
void release_rows(Side& side, const Memory& memory);
void release_block(CodedBlock& block, const Memory& memory);
// Removes the blocks without rows, order kept.
void drop_empty_blocks(Side& side);
// Copies private rows into place of shared ones, so that they may be moved; unshare_segment: those of the segment
// that holds dense row `row`, so that it may be written.
void unshare_rows(Side& side, uint32_t head_dim, const Memory& memory);
void unshare_segment(Side& side, uint32_t row, uint32_t head_dim, const Memory& memory);
// The block's rows lie in these n slots from now on: a run if they are consecutive, else a stored map.
void place_block(sluice_span& span, CodedBlock& block, const uint32_t* slots, uint32_t n, const Memory& memory);

// How many tokens an evictor's lane holds, which of its slots are free, and how many sides still hold a row of each.
struct SlotPool {
  uint32_t live = 0;
  ArenaArray<uint16_t> free;  // a stack, the next to use on top
  // [capacity], kept where a codec may hold rows of dead tokens. 16 bits: a layer's lane has 2 kv_heads sides.
  ArenaArray<uint16_t> holders;
};

}  // namespace sluice
