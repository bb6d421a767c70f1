// See sequence_cache.h and layer_cache.h: positions by rank among the tokens kept. What each slot's rank is, and room
// for the copy of a layer's K rows that attention reads; who turns the rows is core/run.
#include <algorithm>

#include "core/cache/layer_cache.h"
#include "core/cache/sequence_cache.h"

namespace sluice {

void close_ranks(LayerCache& layer, uint32_t head) {
  const uint32_t* pos = layer.slot_pos(head);
  uint32_t* rank = layer.rank(head);
  Scratch<uint32_t> slot_at(layer.scratch, layer.capacity);  // by old rank
  std::fill_n(slot_at.data(), layer.capacity, SLUICE_FREE);
  for (uint32_t s = 0; s < layer.capacity; s++)
    if (pos[s] != SLUICE_FREE) slot_at[rank[s]] = s;
  uint32_t next = 0;
  for (uint32_t r = 0; r < layer.capacity; r++)
    if (slot_at[r] != SLUICE_FREE) rank[slot_at[r]] = next++;
}

uint32_t SequenceCache::next_rank() const {
  if (!rolling()) return seen_;
  uint32_t most = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) most = std::max(most, layers_[l].live(0));
  return most;
}

uint32_t SequenceCache::step_ranks() const {
  uint32_t most = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++)
    most = std::max(most, rolling() && evicting(l) ? layers_[l].budget + step_tokens() : max_tokens_);
  return std::min(most, max_tokens_);
}

// Rows of a layer that steps may come to have: the copy is made for them at once and stays.
uint32_t SequenceCache::copied_rows(const LayerCache& layer) const {
  return layer.evicting() ? narrow_capacity(layer) : (layer.came + kSegmentRows - 1) / kSegmentRows * kSegmentRows;
}

SequenceCache::KeyCopy SequenceCache::key_copy(uint32_t l, uint32_t head) {
  const LayerCache& layer = layers_[l];
  const uint32_t head_dim = layer.head_dim();
  uint32_t rows = copied_rows(layer);
  for (uint32_t h = 0; h < layer.kv_heads(); h++) rows = std::max(rows, layer.side(h, SLUICE_KEY).rows);
  if (rows > key_rows_) {
    const uint32_t room = (rows + 31) / 32 * 32;  // heads begin at multiples of 64 bytes
    arena_->release(keys_, *owner_), key_rows_ = 0;
    keys_ = arena_->allocate(uint64_t(layer.kv_heads()) * room * head_dim * sizeof(uint16_t), *owner_);
    std::memset(keys_.data, 0, keys_.bytes);  // rows that nobody sees are numbers
    key_rows_ = room;
  }
  return {reinterpret_cast<uint16_t*>(keys_.data) + uint64_t(head) * key_rows_ * head_dim, layer.rank(head),
          first_rank_ - (layer.live(head) - coming_)};
}

// A prompt's rows do not come again.
void SequenceCache::trim_keys() {
  uint32_t rows = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) rows = std::max(rows, copied_rows(layers_[l]));
  rows = (rows + 31) / 32 * 32;
  if (rows >= key_rows_) return;
  const sluice_geometry& g = policy_->geometry;
  arena_->shrink(keys_, uint64_t(g.kv_heads) * rows * g.head_dim * sizeof(uint16_t), *owner_);
  key_rows_ = rows;
}

}  // namespace sluice
