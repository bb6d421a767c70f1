// Attention over sequences with coded rows: the backend's three verbs on a lane's dense rows, and between them the
// codecs on its blocks. A lane's blocks are cut into parts of some hundred rows, whose outputs are added up in order;
// where lanes are too few to busy all threads, several jobs share a lane's parts. Who belongs to which group, and what
// is stored before, is attention.h's business.
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <vector>

#include "core/cache/sequence_cache.h"
#include "core/model/llama.h"

namespace sluice {

// Work space, in floats, that attention needs for `count` rows of a sequence with coded rows: for the scores of all its
// lanes and, per lane, for the outputs of its parts and for what its jobs work with. `slots`: a lane's capacity, so
// that space need not grow from step to step; `block_rows`: of its largest block, by side; `lanes`: that threads share.
struct CodedWork {
  uint32_t rows_per_tile = 0;  // tokens whose query heads make one tile
  uint64_t scores = 0, output = 0, job = 0;
  uint32_t outputs = 0, jobs = 0;  // of a lane; one output where it has one job
  uint64_t lane() const { return output * outputs + job * jobs; }
};
CodedWork coded_work(const Policy& policy, uint32_t layer, std::array<uint32_t, 2> block_rows, uint64_t slots,
                     uint32_t count, uint32_t lanes, uint32_t threads);

class CodedAttention {
 public:
  CodedAttention(const Ops& ops, ThreadPool& pool, Arena& arena, const sluice_geometry& geometry);
  ~CodedAttention();
  CodedAttention(const CodedAttention&) = delete;

  void reserve(size_t sequences);
  void clear();
  // A sequence whose rows in the batch are group.parts[0] and whose lanes' dense rows are in the group's tables.
  void add(uint32_t layer, const sluice_group& group, SequenceCache& cache, const sluice_signal* wanted, float* signal);
  // Of all that were added. Throws Error if the work space would be larger than an array can be.
  void run(uint32_t layer, const Activations& a, const uint32_t* positions);

  // Rows that a codec had to decode since the start: 0 for codecs with dot and accumulate.
  uint64_t decoded_rows() const { return decoded_rows_.load(std::memory_order_relaxed); }
  uint64_t workspace_bytes() const { return owner_.live; }

 private:
  struct Group;
  struct Tile;
  void together();
  void apart();
  // `job`, `output`: which of the lane's work spaces and outputs is the caller's.
  void score(const Tile& tile, uint32_t part, uint32_t job);
  void weigh(const Tile& tile);
  void mix(const Tile& tile, uint32_t part, uint32_t job, uint32_t output);
  void add_output(const Tile& tile, uint32_t part, uint32_t output);
  void finish(const Tile& tile);
  // The codec's verb over some spans and queries; x: the queries that it reads (K) or the sums that it adds to (V).
  void call(const Tile& tile, uint32_t side, uint32_t first_span, uint32_t spans, uint32_t first_query,
            uint32_t queries, float* x, uint32_t job);
  void decode(const Tile& tile, uint32_t side, uint32_t first_span, const sluice_tile& t, float* x, float* scores);
  float* output_of(const Tile& tile, uint32_t output);
  float* work_of(const Tile& tile, uint32_t job);
  Memory memory() { return {&arena_, &owner_}; }

  const Ops& ops_;
  ThreadPool& pool_;
  Arena& arena_;
  sluice_geometry geometry_;
  // Of one layer; room for groups is made in reserve().
  std::vector<Group> groups_;
  uint32_t layer_ = 0;
  const Activations* a_ = nullptr;
  const uint32_t* positions_ = nullptr;
  ArenaOwner owner_;
  ArenaArray<float> work_;
  std::atomic<uint64_t> decoded_rows_{0};
};

}  // namespace sluice
