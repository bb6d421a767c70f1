// Rows of K and V for evictors that ask for them (sluice.evictor.rows/1): numbers that follow from layer, head,
// position and side alone, and a reader that counts, and notices when it is asked for what no host could give.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sluice/extensions.h"

namespace sluice::check {

// Number `c` of the K or V that kv head `kv_head` holds of the token at `position`.
using RowNumber = std::function<float(uint32_t kv_head, uint32_t side, uint32_t position, uint32_t c)>;

class SyntheticRows {
 public:
  SyntheticRows(uint32_t layer, uint32_t kv_heads, uint32_t head_dim, uint32_t lanes, uint32_t capacity);

  // Which token a slot holds, SLUICE_FREE for none: tokens[lane][slot].
  std::vector<std::vector<uint32_t>> tokens;

  // For one call of the evictor: gone when the next one is made.
  const sluice_rows& reader();
  // What was wrong with the reads of that call; empty if nothing was.
  const std::string& mistake() const { return mistake_; }
  void break_reads() { broken_ = true; }
  // Instead of noise.
  void set(RowNumber numbers) { numbers_ = std::move(numbers); }
  // Rows asked for so far.
  uint64_t read_count() const { return read_count_; }

  // The query of head `head` of the token at `position`, to out[head_dim].
  void query(uint32_t head, uint32_t position, float* out) const;

 private:
  static sluice_status read(const sluice_rows* rows, uint32_t kv_head, uint32_t side, uint32_t count,
                            const uint32_t* slots, float* out);
  void row(uint32_t stream, uint32_t position, float* out) const;

  uint32_t layer_;
  sluice_rows reader_{};
  std::string mistake_;
  bool broken_ = false;
  RowNumber numbers_;
  uint64_t read_count_ = 0;
};

}  // namespace sluice::check
