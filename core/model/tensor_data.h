// Changes that some tensors need between file and backend: RoPE's order of rows, and vectors as F32. Changed
// tensors point to copies that OwnedData keeps; all others stay in the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/model/model_file.h"

namespace sluice {

class OwnedData {
 public:
  std::byte* add(uint64_t bytes);  // lives as long as this or until drop(), 64-byte aligned
  void drop(const void* data);     // gives back what add() returned; other addresses are ignored

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
};

// Rows of a q or k matrix (or entries of its bias) come as two halves per head, of which row i of the first turns
// with row i of the second; afterwards they are neighbours. Whole rows move, so any type will do.
void pair_neighbours(Tensor& tensor, uint32_t heads, uint32_t head_dim, OwnedData& owned);

// A vector of F16 or BF16 becomes F32; other tensors stay as they are.
void vector_to_f32(Tensor& tensor, OwnedData& owned);

// Numbers of 2 or 4 bytes that lie at an odd address are copied to an even one.
void align_numbers(Tensor& tensor, OwnedData& owned);

}  // namespace sluice
