// The cache of one sequence under one policy: every layer's lanes, the evictor's state, and the moves between
// steps: mask victims, compact thin blocks, rescue what no longer pays, encode the oldest tail rows. It never
// computes attention; core/run asks it for places and tables and calls it back when a layer's rows are in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/cache/lane.h"
#include "core/cache/ledger.h"
#include "core/cache/policy.h"

namespace sluice {

struct LayerCache;

struct CacheCounters {
  uint64_t evicted = 0, coded = 0, rescued = 0, retained = 0;  // rows, rows, rows, blocks; summed over lanes and sides
  uint64_t decoded = 0;                                        // rows, for an evictor that reads them
};

// Where the queries of a prompt's last tokens go: rows[i] = float [heads * head_dim] of the token first + i of those
// that are coming. count 0: nobody wants them.
struct QueryWindow {
  float* rows;
  uint32_t first, count;
};

inline constexpr uint32_t kMostSlots = 65536;  // of a lane that loses tokens: its slots are kept in 16 bits

// The most arena bytes that a sequence can take: `held` between two steps, `prompt` on top while its prompt goes
// through, `step` on top while one of its layers settles after a step.
struct CacheBound {
  uint64_t held = 0, prompt = 0, step = 0;
};

class SequenceCache {
 public:
  // `identity` is a device table with identity[s] == s for max_tokens entries, shared by all caches. `budget`:
  // tokens, 0 without eviction. `max_tokens`: this sequence will hold at most. Throws what an evictor says
  // against the budget. All referenced objects outlive the cache.
  // `rows`: where attention's memory is not the host's (row_store.h).
  SequenceCache(const Policy& policy, Arena& arena, uint32_t* identity, uint32_t budget, uint32_t max_tokens,
                RowStore* rows = nullptr);
  // A copy that goes on as the original would, bit for bit (a fork). Shares nothing but snapshots' segments.
  SequenceCache(const SequenceCache& other);
  SequenceCache& operator=(const SequenceCache&) = delete;
  ~SequenceCache();

  const Policy& policy() const { return *policy_; }
  uint32_t seen() const { return seen_; }
  uint32_t budget() const { return budget_; }  // of a lane, the mean over layers where an evictor shares it out
  uint32_t max_tokens() const { return max_tokens_; }

  // Throws Error if n tokens cannot come as one step, by begin() and place() without open_prompt(): more than
  // max_tokens, or more than policy().chunk (1 if that is 0) where tokens are evicted, whose slots are counted for so
  // many.
  void check_step(uint32_t n) const;

  // ---- a step: begin(n), then for every layer place() and tables; then end_layer() of all layers, then end()
  // The next n tokens are on their way. With `prefix` (this cache empty, a prompt to come) they follow all tokens
  // of that cache, one prompt under the snapshot_policy() of this cache's policy. open_prompt() takes over its dense
  // rows by reference and its signal as a start; it outlives this cache and stays as it is. Throws what keeps the
  // two from being one prompt, with nothing changed. What throws between begin() and end() leaves a cache that can only
  // be destroyed: begin() and copies refuse it.
  void begin(uint32_t n, const SequenceCache* prefix = nullptr);
  // Takes slots and dense rows for them in `layer`: places[i * kv_heads + h] for token i. [layers in parallel]
  void place(uint32_t layer, sluice_store* places);
  // After attention: the policy acts on this layer. Call for every layer after the step. [layers in parallel]
  void end_layer(uint32_t layer);
  // The same after a whole prompt went through this layer alone; blocks are coded as a prompt's.
  void end_prompt_layer(uint32_t layer);
  void end();  // seen() grows by n (and by the prefix)

  // Makes room in `layer` for a prompt's n rows before place(): wide slot tables and evictor state, which
  // end_prompt_layer() narrows again. [layers in parallel]
  void open_prompt(uint32_t layer);

  // ---- what attention needs of a layer
  bool coded(uint32_t layer) const { return policy_->layers[layer].coded(); }
  bool evicting(uint32_t layer) const { return policy_->layers[layer].evictor != nullptr; }
  bool tabled(uint32_t layer) const { return policy_->layers[layer].tabled(); }  // slot tables of its own
  // On the device.
  uint32_t* slot_pos(uint32_t layer) const;  // table base: lane h's slots start at h * slot_stride(layer)
  float* signal(uint32_t layer) const;       // same shape, NULL if the evictor wants none
  uint32_t slot_stride(uint32_t layer) const;
  // Ids below this may hold a token.
  uint32_t slots(uint32_t layer) const;
  uint32_t dense_spans(uint32_t layer, uint32_t head, uint32_t side, sluice_span* out) const;  // out NULL: the count
  std::span<const sluice_span> coded_spans(uint32_t layer, uint32_t head, uint32_t side) const;
  uint32_t max_block_rows(uint32_t layer, uint32_t side) const;  // of any block there
  // To be filled between place() and end_layer() or end_prompt_layer(), which hands the queries to the evictor.
  QueryWindow window(uint32_t layer) const;
  // Header of the block that coded_spans()[index] shows.
  sluice_block block(uint32_t layer, uint32_t head, uint32_t side, uint32_t index) const;

  // ---- rolling positions: K lies as it was before RoPE, and attention reads a copy that is turned by rank
  bool rolling() const { return policy_->rolling; }
  // What RoPE turns the next token by: how many tokens the fullest lane holds, in the text where positions are
  // absolute.
  uint32_t next_rank() const;
  uint32_t first_rank() const { return first_rank_; }  // next_rank() as it was before begin()
  // One more than what RoPE turns any token of a step by.
  uint32_t step_ranks() const;
  // Where K rows of a head go, and what each is turned by: row r, in slot r, goes to `rows + r * head_dim`, turned by
  // (ranks ? ranks[r] : r) + shift. Distances to the queries are what counts, so lanes that hold fewer tokens than the
  // fullest one are shifted up to it. Between place() and end(); a layer's rows hold until the next layer's are asked
  // for.
  struct KeyCopy {
    uint16_t* rows;
    const uint32_t* ranks;
    uint32_t shift;
  };
  KeyCopy key_copy(uint32_t layer, uint32_t head);

  // ---- what reports need
  Ledger ledger() const;  // adds up to owner().live plus plugin bytes, to the byte
  const ArenaOwner& owner() const { return *owner_; }
  uint64_t shared_bytes() const;  // of live rows that lie in a snapshot and are in nobody's ledger but its own
  // Before anything came: what max_tokens() tokens may take of which `prompt` come as a whole prompt, after `prefix`
  // tokens of a snapshot. Sizes are those that the modules promise.
  CacheBound bound(uint32_t prompt, uint32_t prefix) const;
  double tokens_kept() const;                                // live rows, mean over lanes
  uint32_t lane_rows(uint32_t layer, uint32_t head) const;   // live
  uint64_t lane_bytes(uint32_t layer, uint32_t head) const;  // of its K and V, dense and coded
  double rows_not_dense() const;                             // tokens coded or evicted, mean over lanes and sides
  CacheCounters counters() const;
  // Positions of the live tokens of a lane, ascending. For tests and reports.
  std::vector<uint32_t> live_positions(uint32_t layer, uint32_t head) const;
  // Positions in the order they were evicted; kept only after record_victims(). [lane][...]
  void record_victims(uint32_t layer) { recorded_layer_ = int32_t(layer); }
  const std::vector<std::vector<uint32_t>>& recorded_victims() const { return recorded_; }

 private:
  uint32_t first_new() const { return seen_ + (prefix_ ? prefix_->seen() : 0); }
  uint32_t step_tokens() const;
  uint32_t copied_rows(const LayerCache& layer) const;
  void trim_keys();
  void check_whole() const;
  void check_length(uint64_t after) const;
  uint32_t gather() const;
  uint32_t narrow_capacity(const LayerCache& layer) const;
  bool lacks_slots(const LayerCache& layer, uint32_t capacity, bool to_dead) const;
  bool sparse(const LayerCache& layer) const;
  void reset_layer(LayerCache& layer, uint32_t capacity, uint32_t prompt) const;
  void adopt(LayerCache& layer) const;
  void check_prefix(const SequenceCache& prefix, uint32_t n) const;
  void observe(LayerCache& layer, uint32_t prompt) const;
  void hand_over_window(LayerCache& layer) const;
  void evict(LayerCache& layer);
  void settle(LayerCache& layer, uint32_t prompt);

  const Policy* policy_;
  Arena* arena_;
  RowStore* rows_;
  uint32_t* identity_;
  uint32_t budget_, max_tokens_;
  uint32_t seen_ = 0, coming_ = 0, first_rank_ = 0;
  const SequenceCache* prefix_ = nullptr;
  std::unique_ptr<ArenaOwner> owner_ = std::make_unique<ArenaOwner>();
  std::unique_ptr<ArenaOwner> scratch_ = std::make_unique<ArenaOwner>();
  std::unique_ptr<LayerCache[]> layers_;
  Piece keys_;  // the copy: F16 [kv_heads][key_rows_][head_dim] of one layer
  uint32_t key_rows_ = 0;
  int32_t recorded_layer_ = -1;
  std::vector<std::vector<uint32_t>> recorded_;
};

}  // namespace sluice
