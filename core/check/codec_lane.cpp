// See codec_lane.h.
#include "core/check/codec_lane.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace sluice::check {

// The second block is a long one of a prompt, thinned where the codec can; the third lies on scattered slots.
CodedLane::CodedLane(const CodecProbe& codec, uint32_t side, uint64_t seed) : codec_(codec), side_(side) {
  const sluice_codec_plan plan = codec.plan(side);
  const uint32_t full = std::min(plan.block_rows, most_rows(plan));
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t rows = i == 1 ? std::min(3 * full, most_rows(plan)) : full;
    blocks_.push_back(codec.encode(side, key_like_rows(rows, codec.head_dim, seed + i), seed + i, i % 2));
  }
  std::vector<uint32_t> keep;
  for (uint32_t r = 0; r < blocks_[1].block.rows; r++)
    if (r % 3 || r > 100) keep.push_back(r);
  if (codec.table().retain && !keep.empty() && keep.size() < blocks_[1].block.rows) codec.retain(blocks_[1], keep);

  uint32_t base = 3;
  for (const Coded& b : blocks_) {
    spans_.push_back({b.memory.data(), nullptr, base, b.block.rows});
    if (&b != &blocks_[2]) base += b.block.rows + 2;  // columns between blocks are nobody's
  }
  // An odd factor scatters rows over a power of two without naming a slot twice.
  const size_t rows = blocks_[2].block.rows, room = std::bit_ceil(2 * rows);
  for (size_t r = 0; r < rows; r++) scattered_.push_back(uint16_t((r * 37 + 11) % room));
  spans_[2].slots = scattered_.data(), spans_[2].slot_base = base;
  stride_ = base + room;
}

std::vector<float> CodedLane::queries(uint32_t count, uint64_t seed) const {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> in(count * inputs());
  for (float& v : in) v = side_ == SLUICE_KEY ? normal(engine) : std::exp(4 * normal(engine)) / 1000;
  return in;
}

bool CodedLane::attend(uint32_t count, uint32_t first_span, uint32_t spans, const float* in, float* out,
                       unsigned char fill) const {
  const std::vector<sluice_span> cut(spans_.begin() + first_span, spans_.begin() + first_span + spans);
  Guarded scratch;
  const sluice_tile tile = codec_.tile(side_, count, cut, stride_, scratch);
  std::memset(scratch.data(), fill, scratch.size());
  side_ == SLUICE_KEY ? codec_.dot(tile, in, out) : codec_.accumulate(tile, in, out);
  return scratch.intact();
}

}  // namespace sluice::check
