// Calls one codec through its C table as a host would: aligned memory between guard bytes, blocks that move, tiles over
// spans. It looks after what its owner asks it to watch; what numbers should come out is said by the codec_*.cpp
// checks.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/check/check.h"

namespace sluice::check {

// Bytes at a 64-byte boundary with guard bytes on both sides, filled with junk.
class Guarded {
 public:
  explicit Guarded(size_t bytes = 0, unsigned char fill = kJunk);
  Guarded(const Guarded& other) : Guarded(other.bytes_) { std::memcpy(data(), other.data(), bytes_); }
  Guarded& operator=(Guarded other) {
    std::swap(bytes_, other.bytes_), std::swap(offset_, other.offset_), memory_.swap(other.memory_);
    return *this;
  }
  unsigned char* data() const { return memory_.get() + offset_; }
  float* floats() const { return reinterpret_cast<float*>(data()); }
  size_t size() const { return bytes_; }
  bool intact() const;

  static constexpr size_t kGuard = 512;  // what a verb writes too much lands here, so that other checks go on
  static constexpr unsigned char kJunk = 0xA5;

 private:
  size_t bytes_, offset_ = 0;
  std::unique_ptr<unsigned char[]> memory_;
};

using Rows = std::vector<float>;  // [rows][head_dim]

// A block as a host holds it: exactly the bytes that the codec said it uses.
struct Coded {
  sluice_block block{};
  Guarded memory;
  std::vector<unsigned char> bytes() const { return {memory.data(), memory.data() + memory.size()}; }
};

// What a probe ends a check for. Each has a check of its own; the others look away, so that one fault is told once.
enum Watch : uint32_t {
  kWatchNothing = 0,
  kWatchBlocks = 1,   // writes beyond bound(), a block, decoded rows or results
  kWatchScratch = 2,  // writes beyond scratch()
  kWatchAccount = 4,  // account() against the bytes returned
  kWatchGrowth = 8,   // retain() makes a block larger
  kWatchAll = 15
};

class CodecProbe {
 public:
  // Throws Error where create() refuses.
  CodecProbe(Registry& registry, const sluice_module& module, std::span<const sluice_value> values, uint32_t dim,
             uint32_t watch = kWatchAll)
      : head_dim(dim), instance_(registry.create_policy(module, geometry(dim), values)), watch_(watch) {}

  static sluice_geometry geometry(uint32_t head_dim) { return {2, 8, 4, head_dim, 4096}; }

  const uint32_t head_dim;
  const Instance& instance() const { return instance_; }
  const sluice_codec& table() const { return instance_.table<sluice_codec>(); }
  const void* self() const { return instance_.self(); }
  sluice_codec_plan plan(uint32_t side) const;
  size_t bound(uint32_t side, uint32_t rows) const;
  size_t scratch(uint32_t side, uint32_t rows, uint32_t queries) const;

  Coded encode(uint32_t side, const Rows& rows, uint64_t seed = 1, uint32_t prompt = 0) const;
  // Into memory of the caller's, bound() and scratch() bytes; gives what encode() says it wrote.
  size_t encode(const sluice_block& block, const Rows& rows, const Guarded& scratch, const Guarded& to) const;
  Rows decode(const Coded& coded, uint32_t first, uint32_t count) const;
  Rows decode(const Coded& coded) const;  // 64 rows at a time, as the host does
  sluice_account account(const Coded& coded) const;
  void retain(Coded& coded, const std::vector<uint32_t>& keep) const;

  // A tile over spans, with scratch for it.
  sluice_tile tile(uint32_t side, uint32_t queries, const std::vector<sluice_span>& spans, size_t stride,
                   Guarded& scratch) const;
  void dot(const sluice_tile& tile, const float* q, float* scores) const;
  void accumulate(const sluice_tile& tile, const float* weights, float* out) const;

 private:
  bool watches(Watch what) const { return watch_ & what; }
  void check(sluice_status status, std::string_view verb) const;
  void check_account(const Coded& coded) const;

  Instance instance_;
  uint32_t watch_;
};

uint64_t sum_of(const sluice_account& account);
sluice_block block_of(uint32_t side, const Rows& rows, uint32_t head_dim, uint64_t seed = 1, uint32_t prompt = 0);

// Rows that half floats can hold: white noise, and as keys are: channels of very different size and offset, and a first
// row unlike the others.
float to_half_and_back(float x);
Rows random_rows(uint32_t rows, uint32_t head_dim, uint64_t seed, float scale = 1);
Rows key_like_rows(uint32_t rows, uint32_t head_dim, uint64_t seed);

// Numbers of rows at which layouts change: 1, 2, around block_rows and around 32, never more than a prompt can have.
std::vector<uint32_t> row_counts(const sluice_codec_plan& plan);
uint32_t most_rows(const sluice_codec_plan& plan);

// Runs `job` with the codec at each of these head sizes that create() does not refuse, or at any other where it refuses
// all of them. Skips the check where there is none: "codec-create" is about that.
inline constexpr uint32_t kHeadDims[] = {32, 64, 80, 96, 128, 256};
inline constexpr uint32_t kWideHeadDims[] = {32, 64, 80, 96, 128, 256, 320};  // one more than codecs know of
inline constexpr uint32_t kFewHeadDims[] = {64, 80, 128};
void each_size(const Subject& subject, std::span<const uint32_t> head_dims, uint32_t watch,
               const std::function<void(const CodecProbe& codec)>& job);
// "K, head_dim 64", to open a message.
std::string side_text(const CodecProbe& codec, uint32_t side);

}  // namespace sluice::check
