// The merging at the heart of every BPE here: a table of pairs that may join and their order, and the loop that
// joins them. It works on symbols (numbers); what a symbol stands for is its caller's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// A hash table from pairs of 32-bit numbers to pairs of 32-bit numbers. The pair (2^32-1, 2^32-1) is not storable.
class PairTable {
 public:
  struct Value {
    uint32_t rank = 0, product = 0;
  };
  // False, and nothing changes, if the pair is there already.
  bool insert(uint32_t left, uint32_t right, Value value);
  void clear() { *this = {}; }
  const Value* find(uint32_t left, uint32_t right) const {
    if (slots_.empty()) return nullptr;
    const uint64_t key = key_of(left, right);
    for (size_t i = index_of(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t(0);
  struct Slot {
    uint64_t key = kEmpty;
    Value value;
  };
  static uint64_t key_of(uint32_t left, uint32_t right) { return uint64_t(left) << 32 | right; }
  size_t index_of(uint64_t key) const { return size_t(key * 0x9E3779B97F4A7C15ull >> shift_); }
  void grow();

  std::vector<Slot> slots_;  // [a power of two]
  size_t used_ = 0;
  int shift_ = 64;
};

class Merger {
 public:
  // Working memory of merge(), for one thread at a time; reused it saves allocations.
  struct Scratch {
    struct Node {
      uint32_t symbol, width, previous, next;  // width: first symbols joined in it, 0 once it is part of another
    };
    struct Candidate {
      uint32_t rank, place, width, product;
    };
    std::vector<Node> nodes;
    std::vector<Candidate> heap;
    PairTable splits;  // (transient product, 0) to the two it was made of
  };

  // `left` and `right` may become `product`; a pair of lower rank goes first, of two alike the leftmost. The first
  // definition of a pair holds. last_of_left and first_of_right: the single symbols that meet where they join.
  void add(uint32_t left, uint32_t right, uint32_t rank, uint32_t product, uint32_t last_of_left,
           uint32_t first_of_right);
  // A product that is only a step towards others: what remains of it at the end is taken apart again.
  void add_transient(uint32_t product);

  // Appends what `symbols` merge into.
  void merge(std::span<const uint32_t> symbols, Scratch& scratch, std::vector<uint32_t>& out) const;

 private:
  void merge_joined(std::span<const uint32_t> symbols, Scratch& scratch, std::vector<uint32_t>& out) const;
  void append(uint32_t symbol, const Scratch& scratch, std::vector<uint32_t>& out) const;

  PairTable merges_;
  PairTable joints_;  // pairs of single symbols that occur side by side in some product
  PairTable transient_;
};

}  // namespace sluice
