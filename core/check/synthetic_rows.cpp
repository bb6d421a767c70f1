// See synthetic_rows.h.
#include "core/check/synthetic_rows.h"

#include <fmt/format.h>

#include "core/check/evictor_driver.h"

namespace sluice::check {

SyntheticRows::SyntheticRows(uint32_t layer, uint32_t kv_heads, uint32_t head_dim, uint32_t lanes, uint32_t capacity)
    : tokens(lanes, std::vector<uint32_t>(capacity, SLUICE_FREE)), layer_(layer) {
  reader_.kv_heads = kv_heads, reader_.head_dim = head_dim, reader_.read = read;
}

const sluice_rows& SyntheticRows::reader() {
  mistake_.clear();
  reader_.ctx = this;
  return reader_;
}

void SyntheticRows::row(uint32_t stream, uint32_t position, float* out) const {
  for (uint32_t c = 0; c < reader_.head_dim; c++) out[c] = 2 * noise(layer_, stream * 4096 + c, position) - 1;
}

void SyntheticRows::query(uint32_t head, uint32_t position, float* out) const { row(1000 + head, position, out); }

// Nothing may be thrown into a plugin: what is wrong is kept until the call is over.
sluice_status SyntheticRows::read(const sluice_rows* rows, uint32_t kv_head, uint32_t side, uint32_t count,
                                  const uint32_t* slots, float* out) {
  SyntheticRows& self = *static_cast<SyntheticRows*>(rows->ctx);
  self.read_count_ += count;
  if (self.broken_) return SLUICE_DEVICE;
  if (kv_head >= rows->kv_heads || side > SLUICE_VALUE) {
    self.mistake_ = fmt::format("reads side {} of kv head {} of {}", side, kv_head, rows->kv_heads);
    return SLUICE_INVALID;
  }
  const std::vector<uint32_t>& tokens = self.tokens[self.tokens.size() == 1 ? 0 : kv_head];
  for (uint32_t i = 0; i < count; i++) {
    if (slots[i] >= tokens.size() || tokens[slots[i]] == SLUICE_FREE) {
      self.mistake_ = fmt::format("reads slot {} of kv head {}, which holds no token", slots[i], kv_head);
      return SLUICE_INVALID;
    }
    float* row = out + size_t(i) * rows->head_dim;
    if (self.numbers_)
      for (uint32_t c = 0; c < rows->head_dim; c++) row[c] = self.numbers_(kv_head, side, tokens[slots[i]], c);
    else
      self.row(2 * kv_head + side, tokens[slots[i]], row);
  }
  return SLUICE_OK;
}

}  // namespace sluice::check
