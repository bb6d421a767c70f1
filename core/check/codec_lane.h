// A lane's coded blocks for the checks of attention on codes: full, long and thinned ones, slots in runs and scattered,
// queries or weights to meet them.
#pragma once

#include "core/cache/lane.h"
#include "core/check/codec_probe.h"

namespace sluice::check {

class CodedLane {
 public:
  CodedLane(const CodecProbe& codec, uint32_t side, uint64_t seed);
  CodedLane(const CodedLane&) = delete;

  uint32_t side() const { return side_; }
  size_t stride() const { return stride_; }
  const std::vector<sluice_span>& spans() const { return spans_; }
  const std::vector<Coded>& blocks() const { return blocks_; }
  // Floats of one query, as dot() and accumulate() take and give them.
  size_t inputs() const { return side_ == SLUICE_KEY ? codec_.head_dim : stride_; }
  size_t outputs() const { return side_ == SLUICE_KEY ? stride_ : codec_.head_dim; }
  // [queries][inputs()]: normal numbers for K, weights of very different size for V.
  std::vector<float> queries(uint32_t count, uint64_t seed) const;

  // dot() or accumulate() of `count` queries over spans first_span .. first_span + spans - 1, with scratch full of
  // `fill`. Says whether scratch's guards held.
  bool attend(uint32_t count, uint32_t first_span, uint32_t spans, const float* in, float* out,
              unsigned char fill = Guarded::kJunk) const;

 private:
  const CodecProbe& codec_;
  uint32_t side_;
  size_t stride_ = 0;
  std::vector<Coded> blocks_;
  std::vector<uint16_t> scattered_;
  std::vector<sluice_span> spans_;
};

}  // namespace sluice::check
