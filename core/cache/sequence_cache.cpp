// See sequence_cache.h: how tokens enter. What the policy does once they are in is settle.cpp, what others read of a
// cache sequence_view.cpp.
#include "core/cache/sequence_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/base/error.h"
#include "core/cache/layer_cache.h"
#include "core/cache/share_budget.h"

namespace sluice {

SequenceCache::SequenceCache(const Policy& policy, Arena& arena, uint32_t* identity, uint32_t budget,
                             uint32_t max_tokens, RowStore* rows)
    : policy_(&policy),
      arena_(&arena),
      rows_(rows),
      identity_(identity),
      budget_(budget),
      max_tokens_(max_tokens),
      layers_(std::make_unique<LayerCache[]>(policy.geometry.layers)) {
  for (uint32_t l = 0; l < policy.geometry.layers; l++) {
    LayerCache& layer = layers_[l];
    layer.index = l, layer.policy = &policy;
    layer.memory = {arena_, owner_.get(), rows_}, layer.scratch = {arena_, scratch_.get()};
    layer.budget = budget;
    if (!layer.evicting()) continue;
    const std::string who = fmt::format("policy {}: evictor {}", policy.name, layer.rules().evictor->module().name);
    if (budget == 0) throw Error(who + " needs a budget: set [cache] budget");
    if (budget < policy.interval)
      throw Error(
          fmt::format("{}: the budget of {} tokens is smaller than the interval of {}; lower [cache] interval or "
                      "raise [cache] budget",
                      who, budget, policy.interval));
    if (layer.rules().ragged() && policy.layer_granularity)
      throw Error(
          fmt::format("{} gives the heads of a layer budgets of their own, which granularity = \"layer\" does not "
                      "allow; set [cache] granularity = \"head\"",
                      who));
  }
  share_budget(policy, budget, layers_.get());
  for (uint32_t l = 0; l < policy.geometry.layers; l++) {
    const LayerCache& layer = layers_[l];
    if (layer.evicting() && narrow_capacity(layer) > kMostSlots)
      throw Error(
          fmt::format("policy {}: evictor {}: a lane that loses tokens holds at most {} slots, this budget "
                      "needs {}",
                      policy.name, layer.rules().evictor->module().name, kMostSlots, narrow_capacity(layer)));
  }
}

// Delegates, so that the destructor releases what was copied where a copy fails.
SequenceCache::SequenceCache(const SequenceCache& other)
    : SequenceCache(*other.policy_, *other.arena_, other.identity_, other.budget_, other.max_tokens_, other.rows_) {
  other.check_whole();
  seen_ = other.seen_, recorded_layer_ = other.recorded_layer_, recorded_ = other.recorded_;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) copy_layer(other.layers_[l], layers_[l]);
}

SequenceCache::~SequenceCache() {
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) release_layer(layers_[l]);
  arena_->release(keys_, *owner_);
  assert(owner_->live == 0 && scratch_->live == 0);
}

// Tokens that may gather before an eviction, and one more.
uint32_t SequenceCache::gather() const { return std::max(policy_->interval, policy_->chunk) + 1; }

// Slots that decoding needs: the budget, what gathers before an eviction, and dead rows that lie in blocks. Where lanes
// differ it is the longest that counts, with a quarter more, so that it may grow for a while.
uint32_t SequenceCache::narrow_capacity(const LayerCache& layer) const {
  uint32_t tokens = layer.budget;
  if (layer.rules().ragged()) tokens = std::max(tokens, layer.most_live() + layer.most_live() / 4);
  const double held = layer.rules().coded() ? std::ceil(tokens / policy_->compact) : double(tokens);
  return std::min(uint32_t(std::min(held, 4e9)) + gather(), std::max(max_tokens_, 1u));
}

// Tokens for which lanes that lose tokens have slots at any time.
uint32_t SequenceCache::step_tokens() const { return std::max(policy_->chunk, 1u); }

void SequenceCache::check_whole() const {
  if (coming_ > 0) throw Error("a step of this sequence failed, so it cannot go on", kExitFailed);
}

void SequenceCache::check_length(uint64_t after) const {
  if (after > max_tokens_)
    throw Error(fmt::format("the sequence would hold {} tokens, it was made for {}", after, max_tokens_));
}

void SequenceCache::check_step(uint32_t n) const {
  check_whole();
  check_length(uint64_t(seen_) + n);
  const bool evicts =
      std::any_of(policy_->layers.begin(), policy_->layers.end(), [](const LayerPolicy& l) { return l.evictor; });
  if (evicts && n > step_tokens())
    throw Error(fmt::format(
        "policy {}: {} tokens in one step, but its lanes lose tokens and have slots for {} at a time; set [cache] "
        "prefill = \"chunked\" and chunk",
        policy_->name, n, step_tokens()));
}

void SequenceCache::begin(uint32_t n, const SequenceCache* prefix) {
  assert(n > 0 && (!prefix || seen_ == 0));
  check_whole();
  check_length(uint64_t(seen_) + (prefix ? prefix->seen() : 0) + n);
  if (prefix) prefix->check_whole(), check_prefix(*prefix, n);
  first_rank_ = prefix ? prefix->seen() : next_rank();
  coming_ = n, prefix_ = prefix;
}

void SequenceCache::reset_layer(LayerCache& layer, uint32_t capacity, uint32_t prompt) const {
  while (layer.sides.count < 2 * layer.kv_heads()) layer.sides.push({}, layer.memory);
  if (layer.capacity > 0) return;
  if (layer.evicting())
    create_slots(layer, capacity, layer.budget, prompt);
  else if (layer.wants_signal())
    create_record(layer, max_tokens_);
}

void SequenceCache::check_prefix(const SequenceCache& prefix, uint32_t n) const {
  if (prefix.rolling() != rolling())
    throw Error(
        fmt::format("policy {}: K of a shared prefix is stored as positions = \"{}\" wants it, that of {} is not",
                    policy_->name, policy_->positions(), prefix.policy_->name));
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) {
    if (prefix.policy_->layers[l].coded() || prefix.evicting(l))
      throw Error(fmt::format("policy {}: a prefix is shared as exact rows, and {} has none", policy_->name,
                              prefix.policy_->name));
    const sluice_signal &wanted = policy_->layers[l].signal[1], &held = prefix.policy_->layers[l].signal[1];
    const bool wants_signal = wanted.kind != SLUICE_NO_SIGNAL;
    const uint32_t window = std::max(wants_signal ? wanted.window : 0, policy_->layers[l].window_size);
    if (!wants_signal && window == 0) continue;
    const std::string evictor = policy_->layers[l].evictor->module().name;
    if (window > n)
      throw Error(
          fmt::format("policy {}: evictor {} looks at the last {} tokens of a prompt, so as many must follow a shared "
                      "prefix; here {} do",
                      policy_->name, evictor, window, n));
    if (wants_signal && wanted.window == 0 && std::memcmp(&wanted, &held, sizeof wanted) != 0)
      throw Error(
          fmt::format("policy {}: the shared prefix was not watched as evictor {} wants it", policy_->name, evictor));
  }
}

// The prefix's rows become this layer's first dense rows, slot by slot.
void SequenceCache::adopt(LayerCache& layer) const {
  const uint32_t n = prefix_->seen();
  const LayerCache& from = prefix_->layers_[layer.index];
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      Side& side = layer.side(h, which);
      // A segment is shared as far as the prefix fills it: what has room beyond would be written by whoever goes on.
      const ArenaArray<Segment>& segments = from.side(h, which).segments;
      for (uint32_t i = 0; i * kSegmentRows < n; i++)
        side.segments.push({segments[i].piece, std::min(kSegmentRows, n - i * kSegmentRows), true}, layer.memory);
      side.rows = n;
      if (layer.evicting() && layer.rules().codec[which])
        for (uint32_t s = 0; s < n; s++) side.slots.push(uint16_t(s), layer.memory);
      if (layer.rules().simulated[which])
        for (uint32_t s = 0; s < n; s++) side.uncoded.push(s, layer.memory);
    }
  layer.came = n;
  if (!layer.evicting()) return;
  for (SlotPool& pool : layer.pools) pool.live = n;
  for (uint32_t p = 0; p < n; p++) {
    for (uint32_t lane = 0; lane < policy_->evictor_lanes(); lane++)
      layer.pending_slots.push(take_slot(layer, lane), layer.memory);
    layer.pending_positions.push(p, layer.memory);
    for (uint32_t h = 0; h < layer.kv_heads(); h++) {
      layer.slot_pos(h)[p] = p;
      if (layer.ranked()) layer.rank(h)[p] = p;
    }
  }
  if (from.wants_signal())
    for (uint32_t h = 0; h < layer.kv_heads(); h++)
      layer.memory.read_rows(from.attended_signal() + uint64_t(h) * from.capacity, layer.signal(h), n * sizeof(float));
  push_slots(layer, true);
}

void SequenceCache::open_prompt(uint32_t l) {
  LayerCache& layer = layers_[l];
  const uint32_t all = first_new() + coming_;
  if (layer.evicting() && all > kMostSlots)
    throw Error(fmt::format(
        "policy {}: a prompt of {} tokens at once exceeds the {} slots of a lane that loses tokens; set [cache] "
        "prefill = \"chunked\"",
        policy_->name, all, kMostSlots));
  const bool fresh = layer.sides.count == 0;
  reset_layer(layer, all, 1);
  if (layer.evicting() && !fresh) {
    observe(layer, 0);  // what was decoded is told as decoded before the prompt's signal begins
    renumber(layer, layer.capacity + coming_, 1);
  }
  if (prefix_) adopt(layer);
}

void SequenceCache::place(uint32_t l, sluice_store* places) {
  LayerCache& layer = layers_[l];
  reset_layer(layer, narrow_capacity(layer), 0);
  const uint32_t first = first_new(), heads = layer.kv_heads(), head_dim = layer.head_dim(),
                 lanes = policy_->evictor_lanes();
  const bool evicting = layer.evicting();
  for (uint32_t i = 0; i < coming_; i++) {
    if (evicting) layer.pending_positions.push(first + i, layer.memory);
    uint32_t slot = first + i;
    for (uint32_t h = 0; h < heads; h++) {
      if (evicting && (h < lanes)) {
        slot = take_slot(layer, h);
        layer.pending_slots.push(slot, layer.memory);
      }
      sluice_store& to = places[uint64_t(i) * heads + h];
      to.slot = slot;
      if (layer.ranked()) layer.rank(h)[slot] = layer.live(h) + i;
      // Attention writes its own table; where that is another, this one learns of it here.
      if (evicting && layer.device_tables) layer.slot_pos(h)[slot] = first + i;
      for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
        Side& side = layer.side(h, which);
        const bool coded = layer.rules().codec[which] != nullptr;
        const uint32_t row = coded ? side.rows : slot;
        grow_rows(side, row + 1, head_dim, layer.memory);
        unshare_segment(side, row, head_dim, layer.memory);  // an evicted token's row may be one of a snapshot's
        side.rows = std::max(side.rows, row + 1);
        if (coded && evicting) side.slots.push(uint16_t(slot), layer.memory);
        if (layer.rules().simulated[which]) side.uncoded.push(slot, layer.memory);
        (which == SLUICE_KEY ? to.k_row : to.v_row) = row;
      }
    }
  }
  layer.came += coming_;
  for (SlotPool& pool : layer.pools) pool.live += coming_;
  // One decoded token is no prompt, nor is a chunk of one.
  if (!layer.rules().window || (coming_ == 1 && !layer.lanes.prompt)) return;
  layer.window = std::min(layer.rules().window_size, coming_);
  layer.queries = layer.scratch.allocate(uint64_t(layer.window) * policy_->geometry.heads * head_dim * sizeof(float));
}

void SequenceCache::end() {
  seen_ = first_new() + coming_;
  coming_ = 0, prefix_ = nullptr;
  trim_keys();
}

}  // namespace sluice
