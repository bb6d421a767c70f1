// RoPE on stored rows of K, for sequences whose positions roll: the angles of every position, and rows turned by them
// into a copy. Which rows, and by how much, the cache says.
#pragma once

#include <cstdint>
#include <vector>

#include "sluice/kernels.h"

namespace sluice {

// F16 rows of one lane. Row r is that of slot first_slot + r and is left out where that slot holds no token.
struct KeyRows {
  const uint16_t* from;  // [count][head_dim]
  uint16_t* to;
  const uint32_t* slot_pos;
  const uint32_t* ranks;  // by slot; NULL: a slot is its rank
  uint32_t first_slot, count, shift;
};

class KeyRotation {
 public:
  // frequency[head_dim / 2]: pair (2i, 2i + 1) turns by position * frequency[i].
  explicit KeyRotation(const std::vector<float>& frequency);

  // Makes ready for positions below `positions`. Allocates only when that is more than ever before.
  void reserve(uint32_t positions);
  // Turns the rows by rank + shift, which is ready. [any thread]
  void turn(const KeyRows& rows) const;
  uint64_t bytes() const { return table_.capacity() * sizeof(float); }

 private:
  std::vector<float> frequency_;
  std::vector<float> table_;  // [positions][head_dim]: (cos, sin) of each pair
  const sluice_kernels* kernels_;
};

}  // namespace sluice
