// See sequence_cache.h: what attention and reports read of a cache. Changes nothing.
#include <algorithm>
#include <numeric>

#include "core/cache/layer_cache.h"
#include "core/cache/sequence_cache.h"

namespace sluice {

uint32_t* SequenceCache::slot_pos(uint32_t layer) const {
  return tabled(layer) ? layers_[layer].attended_pos() : identity_;
}
float* SequenceCache::signal(uint32_t layer) const {
  return tabled(layer) ? layers_[layer].attended_signal() : nullptr;
}
uint32_t SequenceCache::slot_stride(uint32_t layer) const { return tabled(layer) ? layers_[layer].capacity : 0; }
uint32_t SequenceCache::slots(uint32_t layer) const {
  return tabled(layer) ? layers_[layer].capacity : first_new() + coming_;
}

QueryWindow SequenceCache::window(uint32_t l) const {
  const LayerCache& layer = layers_[l];
  return {reinterpret_cast<float*>(layer.queries.data), coming_ - layer.window, layer.window};
}

uint32_t SequenceCache::dense_spans(uint32_t l, uint32_t head, uint32_t which, sluice_span* out) const {
  const LayerCache& layer = layers_[l];
  const Side& side = layer.side(head, which);
  const uint32_t count = (side.rows + kSegmentRows - 1) / kSegmentRows;
  if (!out) return count;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t first = i * kSegmentRows, rows = std::min(side.rows - first, kSegmentRows);
    const bool mapped = layer.evicting() && layer.rules().codec[which];
    out[i] = {side.segments[i].piece.data, mapped ? &side.slots[first] : nullptr, mapped ? 0 : side.first_slot + first,
              rows};
  }
  return count;
}

std::span<const sluice_span> SequenceCache::coded_spans(uint32_t l, uint32_t head, uint32_t which) const {
  const Side& side = layers_[l].side(head, which);
  return {side.spans.data(), side.spans.count};
}

uint32_t SequenceCache::max_block_rows(uint32_t layer, uint32_t which) const {
  uint32_t most = 0;
  for (uint32_t h = 0; h < policy_->geometry.kv_heads; h++)
    for (const sluice_span& s : coded_spans(layer, h, which)) most = std::max(most, s.rows);
  return most;
}

sluice_block SequenceCache::block(uint32_t layer, uint32_t head, uint32_t which, uint32_t index) const {
  return layers_[layer].block(head, which, index);
}

Ledger SequenceCache::ledger() const {
  Ledger ledger;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) account_layer(layers_[l], ledger);
  ledger[Kind::kRotatedKeys] += keys_.bytes;
  ledger[Kind::kPlugin] += policy_->plugin_bytes();
  return ledger;
}

uint64_t SequenceCache::shared_bytes() const {
  uint64_t sum = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) sum += sluice::shared_bytes(layers_[l]);
  return sum;
}

uint32_t SequenceCache::lane_rows(uint32_t layer, uint32_t head) const { return layers_[layer].live(head); }

uint64_t SequenceCache::lane_bytes(uint32_t layer, uint32_t head) const {
  uint64_t sum = 0;
  if (layers_[layer].sides.count == 0) return sum;  // nothing came yet
  for (const uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
    const Side& side = layers_[layer].side(head, which);
    for (const Segment& s : side.segments) sum += s.piece.bytes;
    for (const CodedBlock& block : side.blocks) sum += block.piece.bytes;
  }
  return sum;
}

double SequenceCache::tokens_kept() const {
  double sum = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++)
    for (uint32_t h = 0; h < policy_->geometry.kv_heads; h++) sum += lane_rows(l, h);
  return sum / (double(policy_->geometry.kv_heads) * policy_->geometry.layers);
}

double SequenceCache::rows_not_dense() const {
  double sum = 0;
  const uint32_t heads = policy_->geometry.kv_heads;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++)
    for (uint32_t i = 0; i < layers_[l].sides.count; i++) {
      const Side& side = layers_[l].sides[i];
      const LayerPolicy& rules = layers_[l].rules();
      sum += double(seen_) - (rules.codec[i % 2]       ? side.rows - side.rescued
                              : rules.simulated[i % 2] ? side.uncoded.count
                                                       : layers_[l].live(i / 2));
    }
  return sum / (2.0 * heads * policy_->geometry.layers);
}

CacheCounters SequenceCache::counters() const {
  CacheCounters sum;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) {
    const CacheCounters& c = layers_[l].counters;
    sum.evicted += c.evicted, sum.coded += c.coded, sum.rescued += c.rescued, sum.retained += c.retained,
        sum.decoded += c.decoded;
  }
  return sum;
}

std::vector<uint32_t> SequenceCache::live_positions(uint32_t layer, uint32_t head) const {
  std::vector<uint32_t> positions;
  if (!evicting(layer)) {
    positions.resize(seen_);
    std::iota(positions.begin(), positions.end(), 0u);
    return positions;
  }
  const uint32_t* pos = layers_[layer].slot_pos(head);
  for (uint32_t s = 0; s < layers_[layer].capacity; s++)
    if (pos[s] != SLUICE_FREE) positions.push_back(pos[s]);
  std::sort(positions.begin(), positions.end());
  return positions;
}

}  // namespace sluice
