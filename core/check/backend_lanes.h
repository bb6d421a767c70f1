// Caches for the checks of attention: sequences whose K, V and queries are random texts, stored step by step through
// the backend into segments, dense or scattered over slots, shared by forks; and plain attention in double to compare
// with.
#pragma once

#include <memory>

#include "core/check/backend_probe.h"

namespace sluice::check {

struct LaneShape {
  uint32_t heads = 4, kv_heads = 2, head_dim = 32;
  uint32_t slots = 320;  // of a lane
  uint32_t segment_rows = 256;
  bool scattered = false;  // rows lie on slots in random order

  uint32_t cols() const { return heads * head_dim; }
  uint32_t kv_cols() const { return kv_heads * head_dim; }
};

// What a model would compute for the tokens of a sequence.
struct LaneText {
  uint32_t n;
  Mat q, k, v;
  LaneText(const LaneShape& g, uint32_t tokens, uint64_t seed)
      : n(tokens),
        q(random_mat(tokens, g.cols(), seed)),
        k(random_mat(tokens, g.kv_cols(), seed + 1000)),
        v(random_mat(tokens, g.kv_cols(), seed + 2000)) {}
};

// Rows on the device, as long as the backend lives.
struct LaneSegment {
  uint16_t* rows = nullptr;   // [segment_rows][head_dim]
  uint16_t* slots = nullptr;  // [segment_rows] or NULL: a run
  size_t numbers = 0;         // of rows
};

// What the caller sees of it (slot_pos, signal, out) lies on the host and goes up and down with each step.
struct Sequence {
  Sequence(BackendProbe& backend, const LaneShape& shape, const LaneText& words);
  // Shares the whole segments of the first `prefix` tokens, and copies the rest.
  Sequence(const Sequence& parent, uint32_t prefix);
  Sequence(const Sequence&) = default;

  uint32_t segments() const { return (g.slots + g.segment_rows - 1) / g.segment_rows; }
  uint32_t rows_of(uint32_t segment) const;
  std::vector<uint16_t> stored(const std::shared_ptr<LaneSegment>& segment) const;

  BackendProbe* backend;
  const LaneShape& g;
  const LaneText& text;
  uint32_t seen = 0;
  std::vector<std::shared_ptr<LaneSegment>> k, v;  // [kv_heads][segments]
  std::vector<uint32_t> order;                     // token t has slot order[t], in every lane
  std::vector<uint32_t> slot_pos;                  // [kv_heads][slots]
  std::vector<float> signal;                       // [kv_heads][slots]
  Mat out;                                         // [tokens][cols]
};

enum class How { kFused, kVerbs, kVerbsByThreads };

// One step of a group: up to `rows` tokens of each sequence.
void step(BackendProbe& backend, const std::vector<Sequence*>& batch, uint32_t rows, sluice_signal wanted = {},
          How how = How::kFused, uint32_t signal_from = 0);
// Steps until the first sequence has seen its text.
void run_to_end(BackendProbe& backend, const std::vector<Sequence*>& batch, uint32_t rows, sluice_signal wanted,
                How how = How::kFused, uint32_t signal_from = 0);

// Plain attention of token t in double, over the tokens at positions 0 .. t whose slot is still theirs; and the
// largest error that float arithmetic may make: the exponent is off by the rounding of a dot product and of its
// scaling, weights by twice that and by the exponential's own error, their sums by one rounding per row.
struct Reference {
  std::vector<double> weights;  // [heads][tokens]
  std::vector<double> out, bound;
};
Reference reference(const Sequence& s, uint32_t t);
void expect_reference(const Sequence& s, uint32_t t, const std::string& what);

}  // namespace sluice::check
