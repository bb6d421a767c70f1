#include "core/cache/sequence_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/base/error.h"
#include "core/cache/layer_cache.h"

namespace sluice {
namespace {

constexpr uint32_t kMostSlots = 65536;  // of a lane that loses tokens: its slots are kept in 16 bits

}  // namespace

SequenceCache::SequenceCache(const Policy& policy, Arena& arena, uint32_t* identity, uint32_t budget, uint32_t max_tokens)
    : policy_(&policy), arena_(&arena), identity_(identity), budget_(budget), max_tokens_(max_tokens),
      layers_(std::make_unique<LayerCache[]>(policy.geometry.layers)) {
  for (uint32_t l = 0; l < policy.geometry.layers; l++) {
    LayerCache& layer = layers_[l];
    layer.index = l, layer.policy = &policy;
    layer.memory = {arena_, owner_.get()}, layer.scratch = {arena_, scratch_.get()};
    if (!layer.evicting()) continue;
    const std::string who = fmt::format("policy {}: evictor {}", policy.name, layer.rules().evictor->module().name);
    if (budget == 0) throw Error(who + " needs a budget: set [cache] budget");
    if (budget < policy.interval)
      throw Error(fmt::format("{}: the budget of {} tokens is smaller than the interval of {}; lower [cache] interval or "
                              "raise [cache] budget", who, budget, policy.interval));
    if (narrow_capacity(layer) > kMostSlots)
      throw Error(fmt::format("{}: a lane that loses tokens holds at most {} slots, this budget needs {}", who, kMostSlots, narrow_capacity(layer)));
  }
}

SequenceCache::SequenceCache(const SequenceCache& other)
    : policy_(other.policy_), arena_(other.arena_), identity_(other.identity_), budget_(other.budget_),
      max_tokens_(other.max_tokens_), seen_(other.seen_), layers_(std::make_unique<LayerCache[]>(policy_->geometry.layers)),
      recorded_layer_(other.recorded_layer_), recorded_(other.recorded_) {
  assert(other.coming_ == 0);
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) {
    layers_[l].memory = {arena_, owner_.get()}, layers_[l].scratch = {arena_, scratch_.get()};
    copy_layer(other.layers_[l], layers_[l]);
  }
}

SequenceCache::~SequenceCache() {
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) release_layer(layers_[l]);
  assert(owner_->live == 0 && scratch_->live == 0);
}

LayerCache& SequenceCache::layer_at(uint32_t layer) const { return layers_[layer]; }

// Slots that decoding needs: the budget, what gathers before an eviction, and dead rows that lie in blocks.
uint32_t SequenceCache::narrow_capacity(const LayerCache& layer) const {
  const double held = layer.rules().coded() ? std::ceil(budget_ / policy_->compact) : double(budget_);
  const uint32_t gather = std::max(policy_->interval, policy_->chunk) + 1;
  return std::min(uint32_t(std::min(held, 4e9)) + gather, std::max(max_tokens_, 1u));
}

void SequenceCache::begin(uint32_t n, const SequenceCache* prefix) {
  assert(coming_ == 0 && n > 0 && (!prefix || seen_ == 0));
  const uint32_t after = seen_ + (prefix ? prefix->seen() : 0) + n;
  if (after > max_tokens_)
    throw Error(fmt::format("the sequence would hold {} tokens, it was made for {}", after, max_tokens_));
  if (prefix) check_prefix(*prefix, n);
  coming_ = n, prefix_ = prefix;
}

void SequenceCache::reset_layer(LayerCache& layer, uint32_t capacity, uint32_t prompt) const {
  while (layer.sides.count < 2 * layer.kv_heads()) layer.sides.push({}, layer.memory);
  if (layer.capacity > 0) return;
  if (layer.evicting()) create_slots(layer, capacity, budget_, prompt);
  else if (layer.wants_signal()) create_record(layer, max_tokens_);
}

void SequenceCache::check_prefix(const SequenceCache& prefix, uint32_t n) const {
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) {
    if (prefix.policy_->layers[l].coded() || prefix.evicting(l))
      throw Error(fmt::format("policy {}: a prefix is shared as exact rows, and {} has none", policy_->name, prefix.policy_->name));
    const sluice_signal &wanted = policy_->layers[l].signal[1], &held = prefix.policy_->layers[l].signal[1];
    if (wanted.kind == SLUICE_NO_SIGNAL) continue;
    const std::string& evictor = policy_->layers[l].evictor->module().name;
    if (wanted.window > n)
      throw Error(fmt::format("policy {}: evictor {} looks at the last {} tokens of a prompt, so as many must follow a shared "
                              "prefix; here {} do", policy_->name, evictor, wanted.window, n));
    if (wanted.window == 0 && std::memcmp(&wanted, &held, sizeof wanted) != 0)
      throw Error(fmt::format("policy {}: the shared prefix was not watched as evictor {} wants it", policy_->name, evictor));
  }
}

// The prefix's rows become this layer's first dense rows, slot by slot.
void SequenceCache::adopt(LayerCache& layer) const {
  const uint32_t n = prefix_->seen();
  const LayerCache& from = prefix_->layers_[layer.index];
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
      Side& side = layer.side(h, which);
      for (const Segment& s : from.side(h, which).segments) side.segments.push({s.piece, s.rows, true}, layer.memory);
      side.rows = n;
      if (layer.evicting() && layer.rules().codec[which])
        for (uint32_t s = 0; s < n; s++) side.slots.push(uint16_t(s), layer.memory);
    }
  layer.live = n;
  if (!layer.evicting()) return;
  for (uint32_t p = 0; p < n; p++) {
    for (uint32_t lane = 0; lane < policy_->evictor_lanes(); lane++) layer.pending_slots.push(take_slot(layer, lane), layer.memory);
    layer.pending_positions.push(p, layer.memory);
    for (uint32_t h = 0; h < layer.kv_heads(); h++) layer.slot_pos(h)[p] = p;
  }
  if (from.wants_signal())
    for (uint32_t h = 0; h < layer.kv_heads(); h++) std::copy_n(from.signal(h), n, layer.signal(h));
}

void SequenceCache::open_prompt(uint32_t l) {
  LayerCache& layer = layers_[l];
  const uint32_t all = first_new() + coming_;
  if (layer.evicting() && all > kMostSlots)
    throw Error(fmt::format("policy {}: a prompt of {} tokens at once exceeds the {} slots of a lane that loses tokens; set [cache] "
                            "prefill = \"chunked\"", policy_->name, all, kMostSlots));
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
  const uint32_t first = first_new(), heads = layer.kv_heads(), head_dim = layer.head_dim(), lanes = policy_->evictor_lanes();
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
      for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE}) {
        Side& side = layer.side(h, which);
        const bool coded = layer.rules().codec[which] != nullptr;
        const uint32_t row = coded ? side.rows : slot;
        grow_rows(side, row + 1, head_dim, layer.memory);
        side.rows = std::max(side.rows, row + 1);
        if (coded && evicting) side.slots.push(uint16_t(slot), layer.memory);
        (which == SLUICE_KEY ? to.k_row : to.v_row) = row;
      }
    }
  }
  layer.live += coming_;
}

// Tells the evictor of the tokens that came and of the attention they paid.
void SequenceCache::observe(LayerCache& layer, uint32_t prompt) const {
  const uint32_t lanes = policy_->evictor_lanes(), n = layer.pending_positions.count;
  if (n == 0) return;
  const Instance& evictor = *layer.rules().evictor;
  const sluice_evictor& table = policy_->evictor(layer.index);
  Scratch<uint32_t> slots(layer.scratch, uint64_t(lanes) * n);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t lane = 0; lane < lanes; lane++) slots[uint64_t(lane) * n + i] = layer.pending_slots[i * lanes + lane];
  table.insert(evictor.self(), layer.state.data, &layer.lanes, n, slots.data(), layer.pending_positions.data());
  layer.pending_slots.count = layer.pending_positions.count = 0;
  if (!layer.wants_signal()) return;
  const uint32_t kind = layer.rules().signal[prompt].kind;
  const uint64_t cells = uint64_t(layer.kv_heads()) * layer.capacity;
  float* signal = layer.signal(0);
  if (kind != SLUICE_NO_SIGNAL) {
    if (policy_->layer_granularity)
      for (uint32_t h = 1; h < layer.kv_heads(); h++)
        for (uint32_t s = 0; s < layer.capacity; s++)
          signal[s] = kind == SLUICE_SUM ? signal[s] + layer.signal(h)[s] : std::max(signal[s], layer.signal(h)[s]);
    table.observe(evictor.self(), layer.state.data, &layer.lanes, n, signal);
  }
  std::memset(signal, 0, cells * sizeof(float));
}

void SequenceCache::evict(LayerCache& layer, uint32_t n) {
  const uint32_t lanes = policy_->evictor_lanes();
  const Instance& evictor = *layer.rules().evictor;
  Scratch<uint32_t> victims(layer.scratch, uint64_t(lanes) * n);
  evictor.check(policy_->evictor(layer.index).select(evictor.self(), layer.state.data, &layer.lanes, n, victims.data()), "select");
  const auto* guard = reinterpret_cast<const uint8_t*>(layer.state.data) +
                      policy_->evictor(layer.index).state_size(evictor.self(), &layer.lanes);
  if (!std::all_of(guard, guard + 64, [](uint8_t b) { return b == 0xA5; }))
    throw Error(fmt::format("evictor {} wrote past its state", evictor.module().name), kExitFailed);
  const bool record = recorded_layer_ == int32_t(layer.index);
  if (record) recorded_.resize(lanes);
  for (uint32_t h = 0; h < layer.kv_heads(); h++) {
    const uint32_t lane = layer.lane_of(h);
    uint32_t* pos = layer.slot_pos(h);
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t slot = victims[uint64_t(lane) * n + i];
      if (slot >= layer.capacity || pos[slot] == SLUICE_FREE)
        throw Error(fmt::format("evictor {}: victim {} of lane {} is slot {}, which holds no token or was named twice",
                                evictor.module().name, i, lane, slot), kExitFailed);
      if (record && h == (policy_->layer_granularity ? 0 : lane)) recorded_[lane].push_back(pos[slot]);
      pos[slot] = SLUICE_FREE;
      // Rows without a codec go with the mask; coded ones when drop_dead_rows() or compact_blocks() meet them.
      if (layer.rules().coded()) {
        for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
          if (!layer.rules().codec[which]) let_go(layer, h, slot);
      } else if (h < lanes) {
        layer.pools[lane].free.push(uint16_t(slot), layer.memory);
      }
    }
  }
  layer.live -= n;
  layer.counters.evicted += uint64_t(n) * layer.kv_heads();
}

// What the policy does after rows came: observe, evict, compact, encode. Evict before encode: what is about to go
// is never coded.
void SequenceCache::settle(LayerCache& layer, uint32_t prompt) {
  const LayerPolicy& rules = layer.rules();
  if (layer.evicting()) {
    const bool over = layer.live > budget_;
    if (prompt || over || layer.pending_positions.count >= policy_->interval) observe(layer, prompt);
    if (over) evict(layer, layer.live - (budget_ - policy_->interval + 1));
    auto tidy = [&](double share) {
      for (uint32_t h = 0; h < layer.kv_heads(); h++)
        for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
          if (rules.codec[which]) drop_dead_rows(layer, h, which), compact_blocks(layer, h, which, share);
    };
    if (over && rules.coded()) tidy(policy_->compact);
    const uint32_t narrow = narrow_capacity(layer), next = std::max(policy_->chunk, 1u);
    // Tombstones hold slots: when what is left is not enough for the next step, they go early.
    auto short_of_slots = [&](uint32_t capacity) {
      return rules.coded() && std::any_of(layer.pools.begin(), layer.pools.end(), [&](const SlotPool& pool) {
        const uint32_t taken = layer.capacity - pool.free.count;
        return taken + next > capacity && taken > layer.live;
      });
    };
    if (short_of_slots(narrow)) tidy(1.0);
    if (prompt) renumber(layer, narrow, 0);
  }
  for (uint32_t h = 0; h < layer.kv_heads(); h++)
    for (uint32_t which : {SLUICE_KEY, SLUICE_VALUE})
      if (rules.codec[which]) encode_tail(layer, h, which, prompt);
}

void SequenceCache::end_layer(uint32_t layer) { settle(layers_[layer], 0); }
void SequenceCache::end_prompt_layer(uint32_t layer) { settle(layers_[layer], 1); }

void SequenceCache::end() {
  seen_ = first_new() + coming_;
  coming_ = 0, prefix_ = nullptr;
}

uint32_t* SequenceCache::slot_pos(uint32_t layer) const { return tabled(layer) ? layers_[layer].slot_pos(0) : identity_; }
float* SequenceCache::signal(uint32_t layer) const { return tabled(layer) ? layers_[layer].signal(0) : nullptr; }
uint32_t SequenceCache::slot_stride(uint32_t layer) const { return tabled(layer) ? layers_[layer].capacity : 0; }
uint32_t SequenceCache::slots(uint32_t layer) const { return tabled(layer) ? layers_[layer].capacity : first_new() + coming_; }

uint32_t SequenceCache::dense_spans(uint32_t l, uint32_t head, uint32_t which, sluice_span* out) const {
  const LayerCache& layer = layers_[l];
  const Side& side = layer.side(head, which);
  const uint32_t count = (side.rows + kSegmentRows - 1) / kSegmentRows;
  if (!out) return count;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t first = i * kSegmentRows, rows = std::min(side.rows - first, kSegmentRows);
    const bool mapped = layer.evicting() && layer.rules().codec[which];
    out[i] = {side.segments[i].piece.data, mapped ? &side.slots[first] : nullptr, mapped ? 0 : side.first_slot + first, rows};
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
  ledger[Kind::kPlugin] += policy_->plugin_bytes();
  return ledger;
}

double SequenceCache::tokens_kept() const {
  double sum = 0;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) sum += layers_[l].live;
  return sum / policy_->geometry.layers;
}

double SequenceCache::rows_not_dense() const {
  double sum = 0;
  const uint32_t heads = policy_->geometry.kv_heads;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++)
    for (uint32_t i = 0; i < layers_[l].sides.count; i++) {
      const Side& side = layers_[l].sides[i];
      const bool coded = layers_[l].rules().codec[i % 2] != nullptr;
      sum += double(seen_) - (coded ? side.rows - side.rescued : layers_[l].live);
    }
  return sum / (2.0 * heads * policy_->geometry.layers);
}

CacheCounters SequenceCache::counters() const {
  CacheCounters sum;
  for (uint32_t l = 0; l < policy_->geometry.layers; l++) {
    const CacheCounters& c = layers_[l].counters;
    sum.evicted += c.evicted, sum.coded += c.coded, sum.rescued += c.rescued, sum.retained += c.retained;
  }
  return sum;
}

std::vector<uint32_t> SequenceCache::live_positions(uint32_t layer, uint32_t head) const {
  std::vector<uint32_t> positions;
  const uint32_t* pos = slot_pos(layer) + uint64_t(head) * slot_stride(layer);
  const uint32_t n = evicting(layer) ? layers_[layer].capacity : seen_;
  for (uint32_t s = 0; s < n; s++)
    if (pos[s] != SLUICE_FREE) positions.push_back(pos[s]);
  std::sort(positions.begin(), positions.end());
  return positions;
}

}  // namespace sluice
