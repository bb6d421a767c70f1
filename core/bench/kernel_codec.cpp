// See kernel_parts.h: a codec's verbs, on blocks as a prompt leaves them (attention) and as decoding fills them
// (encode).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "core/bench/kernel_parts.h"
#include "core/cache/policy.h"
#include "core/check/codec_probe.h"
#include "core/run/policy_builder.h"

namespace sluice {
namespace {

struct Free {
  void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(64)); }
};
using Bytes = std::unique_ptr<std::byte[], Free>;
Bytes aligned(size_t bytes) {
  return Bytes(static_cast<std::byte*>(::operator new[](std::max<size_t>(bytes, 64), std::align_val_t(64))));
}

uint64_t up_to_line(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

struct CodecSide {
  const Instance& codec;
  uint32_t side;
  sluice_codec_plan plan{};
  const sluice_codec& table() const { return codec.table<sluice_codec>(); }
  uint64_t bound(uint32_t rows) const { return sane_bytes(codec, "bound", table().bound(codec.self(), side, rows)); }
  uint64_t scratch(uint32_t rows, uint32_t queries) const {
    return sane_bytes(codec, "scratch", table().scratch(codec.self(), side, rows, queries));
  }
  // Rows of a lane: keys are as uneven as keys are.
  check::Rows rows(uint32_t n) const {
    return side == SLUICE_KEY ? check::key_like_rows(n, kKernelHeadDim, kKernelSeed)
                              : check::random_rows(n, kKernelHeadDim, kKernelSeed);
  }
};

CodecSide side_of(const KernelCodecs& codecs, uint32_t side) {
  CodecSide s{*codecs.sides[side], side, {}};
  s.codec.call("plan", s.table().plan, side, &s.plan);
  check_plan(s.codec, s.plan);
  return s;
}

// Lanes of coded rows: one lane is encoded, and copied as often as the working set asks for.
struct CodedLanes {
  CodedLanes(const CodecSide& s, const KernelShape& shape) : stride(shape.slots) {
    const uint32_t block_rows = std::min(std::max(s.plan.max_rows, 1u), shape.slots);
    const check::Rows all = s.rows(shape.slots);
    const Bytes encode_scratch = aligned(s.scratch(block_rows, 0));
    std::vector<uint64_t> places;
    std::vector<uint32_t> counts;
    uint64_t bound = 0;
    for (uint32_t first = 0; first < shape.slots; first += block_rows)
      bound += up_to_line(s.bound(std::min(block_rows, shape.slots - first)));
    const Bytes lane = aligned(bound);
    for (uint32_t first = 0; first < shape.slots; first += block_rows) {
      const uint32_t rows = std::min(block_rows, shape.slots - first);
      const check::Rows part(all.begin() + size_t(first) * kKernelHeadDim,
                             all.begin() + size_t(first + rows) * kKernelHeadDim);
      const Bytes floats = aligned(part.size() * sizeof(float));
      std::memcpy(floats.get(), part.data(), part.size() * sizeof(float));
      const sluice_block block{0, 0, s.side, rows, kKernelSeed + first, 1, 0};
      size_t bytes = 0;
      s.codec.call("encode", s.table().encode, &block, reinterpret_cast<const float*>(floats.get()),
                   static_cast<void*>(encode_scratch.get()), static_cast<void*>(lane.get() + lane_bytes), &bytes);
      check_written(s.codec, "encode", bytes, s.bound(rows));
      places.push_back(lane_bytes), counts.push_back(rows);
      lane_bytes += up_to_line(bytes);
    }
    copies = shape.copies(lane_bytes * shape.lanes);
    memory = aligned(lane_bytes * shape.lanes * copies);
    spans.resize(shape.lanes * copies);
    for (uint64_t i = 0; i < spans.size(); i++) {
      std::byte* const at = memory.get() + i * lane_bytes;
      std::memcpy(at, lane.get(), lane_bytes);
      uint32_t slot = 0;
      for (size_t b = 0; b < places.size(); slot += counts[b++])
        spans[i].push_back({at + places[b], nullptr, slot, counts[b]});
    }
    scratch_bytes = up_to_line(s.scratch(block_rows, 1));
    scratch = aligned(scratch_bytes * shape.lanes);
    const uint64_t heads = uint64_t(shape.lanes) * kKernelHeadDim * sizeof(float);
    queries = aligned(heads), scores = aligned(uint64_t(shape.lanes) * stride * sizeof(float));
    std::mt19937_64 random(kKernelSeed);
    std::uniform_real_distribution<float> uniform(0, 1);
    for (uint64_t i = 0; i < heads / sizeof(float); i++) reinterpret_cast<float*>(queries.get())[i] = uniform(random);
    for (uint64_t i = 0; i < uint64_t(shape.lanes) * stride; i++)
      reinterpret_cast<float*>(scores.get())[i] = uniform(random) / float(stride);
  }

  size_t stride;
  uint64_t lane_bytes = 0, copies = 1, scratch_bytes = 0;
  Bytes memory, scratch, queries, scores;
  std::vector<std::vector<sluice_span>> spans;  // [copies][lanes]
};

KernelCall attend(const CodecSide& s, ThreadPool& pool, const KernelShape& shape, const std::string& name) {
  const auto lanes = std::make_shared<CodedLanes>(s, shape);
  const double numbers = double(shape.lanes) * shape.slots * kKernelHeadDim;
  KernelCall kernel{name, 2 * numbers, false, double(lanes->lane_bytes) * shape.lanes, {}};
  const uint32_t count = shape.lanes;
  kernel.call = [s, &pool, lanes, count, turn = size_t(0)]() mutable {
    const size_t first = next_copy(turn, lanes->copies) * count;
    pool.each(count, [&](uint32_t h) {
      const auto& spans = lanes->spans[first + h];
      const sluice_tile tile{0,
                             h,
                             1,
                             uint32_t(spans.size()),
                             spans.data(),
                             lanes->stride,
                             lanes->scratch.get() + h * lanes->scratch_bytes};
      float* const head = reinterpret_cast<float*>(lanes->queries.get()) + size_t(h) * kKernelHeadDim;
      float* const row = reinterpret_cast<float*>(lanes->scores.get()) + size_t(h) * lanes->stride;
      if (s.side == SLUICE_KEY)
        s.codec.call("dot", s.table().dot, &tile, head, row);
      else
        s.codec.call("accumulate", s.table().accumulate, &tile, row, head);
    });
  };
  return kernel;
}

KernelCall encode(const CodecSide& s, ThreadPool& pool, const KernelShape& shape, const std::string& name) {
  struct Work {
    uint32_t rows;
    uint64_t scratch_bytes, bound;
    Bytes floats, scratch, to;
  };
  const auto work = std::make_shared<Work>();
  work->rows = std::max(s.plan.block_rows, 1u);
  const check::Rows rows = s.rows(work->rows);
  work->scratch_bytes = up_to_line(s.scratch(work->rows, 0)), work->bound = up_to_line(s.bound(work->rows));
  work->floats = aligned(rows.size() * sizeof(float));
  std::memcpy(work->floats.get(), rows.data(), rows.size() * sizeof(float));
  work->scratch = aligned(work->scratch_bytes * shape.lanes), work->to = aligned(work->bound * shape.lanes);
  const uint32_t count = shape.lanes;
  KernelCall kernel{name, 0, false, 2.0 * double(rows.size()) * count, {}};
  kernel.call = [s, &pool, work, count] {
    pool.each(count, [&](uint32_t h) {
      const sluice_block block{0, h, s.side, work->rows, kKernelSeed, 0, 0};
      size_t bytes = 0;
      s.codec.call("encode", s.table().encode, &block, reinterpret_cast<const float*>(work->floats.get()),
                   static_cast<void*>(work->scratch.get() + h * work->scratch_bytes),
                   static_cast<void*>(work->to.get() + h * work->bound), &bytes);
      check_written(s.codec, "encode", bytes, work->bound);
    });
  };
  return kernel;
}

}  // namespace

std::vector<KernelName> codec_kernels(const KernelCodecs& codecs, const KernelShape& shape) {
  std::vector<KernelName> names;
  for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
    if (!codecs.sides[side]) continue;
    const CodecSide s = side_of(codecs, side);
    const char* const letter = side == SLUICE_KEY ? "K" : "V";
    const std::string codec = s.codec.module().name;
    if (side == SLUICE_KEY ? s.table().dot != nullptr : s.table().accumulate != nullptr)
      names.push_back({side == SLUICE_KEY ? "codec_dot" : "codec_accumulate",
                       fmt::format("{} on its coded {}: {} lanes of {} x {}", codec, letter, shape.lanes, shape.slots,
                                   kKernelHeadDim)});
    names.push_back({side == SLUICE_KEY ? "codec_encode_k" : "codec_encode_v",
                     fmt::format("{} codes {} rows of {}, as decoding fills them: {} lanes", codec,
                                 std::max(s.plan.block_rows, 1u), letter, shape.lanes)});
  }
  return names;
}

KernelCall make_codec_kernel(const KernelCodecs& codecs, ThreadPool& pool, const KernelShape& shape,
                             const std::string& name) {
  const bool key = name == "codec_dot" || name == "codec_encode_k";
  const CodecSide s = side_of(codecs, key ? SLUICE_KEY : SLUICE_VALUE);
  return name.starts_with("codec_encode") ? encode(s, pool, shape, name) : attend(s, pool, shape, name);
}

}  // namespace sluice
