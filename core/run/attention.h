// Attention of a batch over its caches in one layer: groups the sequences that the backend can serve in one call, and
// hands those whose rows are coded to CodedAttention. Implements the graph's Attention; the caches' own moves happen
// elsewhere.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/cache/sequence_cache.h"
#include "core/model/llama.h"
#include "core/run/coded_attention.h"
#include "core/run/key_rotation.h"
#include "core/run/step_tables.h"

namespace sluice {

// A sequence's rows in the batch: first .. first + count - 1.
struct BatchPart {
  SequenceCache* cache;
  uint32_t first, count;
  uint32_t signal_from;  // rows of the batch from here on feed the evictor's signal
  uint32_t offset = 0;   // of its first row among the tokens that are coming to the cache
};

class CacheAttention final : public Attention {
 public:
  // `rotation` is ready for the ranks of what begin() is given. `immediate`: as the device says. On another there are
  // neither coded rows nor rolling positions.
  CacheAttention(const Ops& ops, ThreadPool& pool, Arena& arena, const sluice_geometry& geometry,
                 const KeyRotation& rotation, bool immediate);
  CacheAttention(const CacheAttention&) = delete;

  // What the next attend() calls work on. places[row][kv_head] of the current layer, on the device. `prompt`: the
  // rows are a prompt's, which decides what evictors observe. Allocates only when the batch outgrows all before.
  void begin(std::span<const BatchPart> parts, bool prompt);
  void set_places(const sluice_store* places) { places_ = places; }
  void attend(uint32_t layer, const Activations& a, const uint32_t* positions) override;

  // Sees each layer's activations when attention is done and the queue is empty. Empty: nobody looks.
  std::function<void(uint32_t layer, const Activations& a)> watch;

  // Rows that a codec had to decode for attention since the start: 0 for codecs with dot and accumulate.
  uint64_t decoded_rows() const { return coded_.decoded_rows(); }
  uint64_t workspace_bytes() const { return coded_.workspace_bytes(); }

 private:
  struct Group;
  void collect(uint32_t layer, uint32_t part, Group& group);
  void turn_keys(uint32_t layer, std::span<const uint32_t> parts, const Group& group);
  void attend_dense(uint32_t layer, std::span<const uint32_t> parts, const Activations& a, const uint32_t* positions);
  void attend_coded(uint32_t layer, const Activations& a, const uint32_t* positions);
  void keep_queries(uint32_t layer, const Activations& a);
  bool fused(uint32_t layer, const BatchPart& part) const;
  const sluice_signal* wanted(const SequenceCache& cache, uint32_t layer) const;

  const Ops& ops_;
  ThreadPool& pool_;
  sluice_geometry geometry_;
  const KeyRotation& rotation_;
  std::vector<BatchPart> parts_;
  bool prompt_ = false;
  const sluice_store* places_ = nullptr;
  // Of one layer, filled for each call. Their room is made in begin().
  StepTables tables_;
  std::vector<uint32_t> order_;
  std::vector<KeyRows> turns_;
  CodedAttention coded_;
};

}  // namespace sluice
