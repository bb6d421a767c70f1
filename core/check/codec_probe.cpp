// See codec_probe.h.
#include "core/check/codec_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/base/error.h"
#include "sluice/half.h"

namespace sluice::check {

Guarded::Guarded(size_t bytes, unsigned char fill)
    : bytes_(bytes), memory_(new unsigned char[bytes + 2 * kGuard + 64]) {
  const auto address = reinterpret_cast<uintptr_t>(memory_.get()) + kGuard;
  offset_ = kGuard + (64 - address % 64) % 64;
  std::memset(memory_.get(), kJunk, bytes + 2 * kGuard + 64);
  std::memset(data(), fill, bytes);
}

bool Guarded::intact() const {
  const auto untouched = [](const unsigned char* at) {
    return std::all_of(at, at + kGuard, [](unsigned char b) { return b == kJunk; });
  };
  return untouched(data() - kGuard) && untouched(data() + bytes_);
}

sluice_codec_plan CodecProbe::plan(uint32_t side) const {
  sluice_codec_plan plan{};
  table().plan(self(), side, &plan);
  return plan;
}

size_t CodecProbe::bound(uint32_t side, uint32_t rows) const { return table().bound(self(), side, rows); }
size_t CodecProbe::scratch(uint32_t side, uint32_t rows, uint32_t queries) const {
  return table().scratch(self(), side, rows, queries);
}

// A refusal of a sensible call is a failure, in the codec's own words.
void CodecProbe::check(sluice_status status, std::string_view verb) const {
  try {
    instance_.check(status, verb);
  } catch (const Error& error) {
    fail(error.what());
  }
}

size_t CodecProbe::encode(const sluice_block& block, const Rows& rows, const Guarded& scratch,
                          const Guarded& to) const {
  size_t bytes = 0;
  check(table().encode(self(), &block, rows.data(), scratch.data(), to.data(), &bytes), "encode");
  if (watches(kWatchScratch))
    expect(scratch.intact(),
           fmt::format("encode() of {} rows wrote past its {} bytes of scratch", block.rows, scratch.size()));
  if (watches(kWatchBlocks)) {
    expect(to.intact(), fmt::format("encode() of {} rows wrote past bound(), {} bytes", block.rows, to.size()));
    expect(bytes <= to.size(), fmt::format("encode() of {} rows says that it wrote {} bytes, bound() was {}",
                                           block.rows, bytes, to.size()));
  }
  expect(bytes <= to.size() + Guarded::kGuard,
         fmt::format("encode() of {} rows says that it wrote {} bytes of {}", block.rows, bytes, to.size()));
  return bytes;
}

Coded CodecProbe::encode(uint32_t side, const Rows& rows, uint64_t seed, uint32_t prompt) const {
  Coded coded;
  coded.block = block_of(side, rows, head_dim, seed, prompt);
  const Guarded room(scratch(side, coded.block.rows, 0)), to(bound(side, coded.block.rows));
  coded.memory = Guarded(encode(coded.block, rows, room, to));
  std::memcpy(coded.memory.data(), to.data(), coded.memory.size());
  check_account(coded);
  return coded;
}

Rows CodecProbe::decode(const Coded& coded, uint32_t first, uint32_t count) const {
  const Guarded rows(size_t(count) * head_dim * sizeof(float));
  check(table().decode(self(), &coded.block, coded.memory.data(), first, count, rows.floats()), "decode");
  if (watches(kWatchBlocks))
    expect(rows.intact(), fmt::format("decode() of rows {} to {} wrote past them", first, first + count - 1));
  return Rows(rows.floats(), rows.floats() + size_t(count) * head_dim);
}

Rows CodecProbe::decode(const Coded& coded) const {
  Rows all;
  for (uint32_t first = 0; first < coded.block.rows; first += 64) {
    const Rows part = decode(coded, first, std::min(64u, coded.block.rows - first));
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

sluice_account CodecProbe::account(const Coded& coded) const {
  sluice_account account{};
  table().account(self(), &coded.block, coded.memory.data(), &account);
  return account;
}

void CodecProbe::check_account(const Coded& coded) const {
  if (!watches(kWatchAccount) || coded.block.rows == 0) return;
  const uint64_t sum = sum_of(account(coded));
  expect(sum == coded.memory.size(), fmt::format("account() of a block of {} rows adds up to {} of {} bytes",
                                                 coded.block.rows, sum, coded.memory.size()));
}

void CodecProbe::retain(Coded& coded, const std::vector<uint32_t>& keep) const {
  size_t bytes = 0;
  const size_t before = coded.memory.size();
  // Who reads one number too many finds that the last row stays where it is.
  std::vector<uint32_t> list = keep;
  list.push_back(uint32_t(keep.size()) - 1);
  check(table().retain(self(), &coded.block, coded.memory.data(), list.data(), uint32_t(keep.size()), &bytes),
        "retain");
  const auto what = [&] { return fmt::format("retain() of {} of {} rows", keep.size(), coded.block.rows); };
  if (watches(kWatchBlocks)) expect(coded.memory.intact(), what() + " wrote past the block");
  if (watches(kWatchGrowth))
    expect(bytes <= before, fmt::format("{} made the block larger: {} bytes were {}", what(), bytes, before));
  expect(bytes <= before + Guarded::kGuard, fmt::format("{} says that {} bytes became {}", what(), before, bytes));
  Coded moved;
  moved.block = coded.block;
  moved.block.rows = uint32_t(keep.size());
  moved.memory = Guarded(bytes);
  std::memcpy(moved.memory.data(), coded.memory.data(), bytes);
  coded = moved;
  check_account(coded);
}

sluice_tile CodecProbe::tile(uint32_t side, uint32_t queries, const std::vector<sluice_span>& spans, size_t stride,
                             Guarded& room) const {
  uint32_t rows = 1;
  for (const sluice_span& span : spans) rows = std::max(rows, span.rows);
  room = Guarded(scratch(side, rows, queries));
  return {0, 0, queries, uint32_t(spans.size()), spans.data(), stride, room.data()};
}

void CodecProbe::dot(const sluice_tile& tile, const float* q, float* scores) const {
  check(table().dot(self(), &tile, q, scores), "dot");
}
void CodecProbe::accumulate(const sluice_tile& tile, const float* weights, float* out) const {
  check(table().accumulate(self(), &tile, weights, out), "accumulate");
}

uint64_t sum_of(const sluice_account& a) {
  return a.codes + a.scales + a.low_rank + a.outlier_values + a.outlier_indices + a.row_pointers + a.index + a.padding;
}

sluice_block block_of(uint32_t side, const Rows& rows, uint32_t head_dim, uint64_t seed, uint32_t prompt) {
  return {0, 0, side, uint32_t(rows.size() / head_dim), seed, prompt, 0};
}

float to_half_and_back(float x) { return sluice_from_half(sluice_to_half(x)); }

Rows random_rows(uint32_t rows, uint32_t head_dim, uint64_t seed, float scale) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  Rows x(size_t(rows) * head_dim);
  for (float& v : x) v = to_half_and_back(scale * normal(engine));
  return x;
}

Rows key_like_rows(uint32_t rows, uint32_t head_dim, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> size(head_dim), middle(head_dim);
  for (uint32_t c = 0; c < head_dim; c++) size[c] = std::exp(normal(engine)), middle[c] = 3 * normal(engine);
  Rows x(size_t(rows) * head_dim);
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t c = 0; c < head_dim; c++)
      x[size_t(r) * head_dim + c] = to_half_and_back(middle[c] + size[c] * normal(engine) * (r == 0 ? 8.0f : 1.0f));
  return x;
}

// A prompt is no longer than the context.
uint32_t most_rows(const sluice_codec_plan& plan) {
  return std::max(1u, std::min(plan.max_rows, CodecProbe::geometry(64).max_context));
}

std::vector<uint32_t> row_counts(const sluice_codec_plan& plan) {
  std::vector<uint32_t> counts = {1, 2, 3, 31, 33, plan.block_rows, plan.block_rows + 1, 2 * plan.block_rows};
  if (plan.block_rows > 1) counts.push_back(plan.block_rows - 1);
  for (uint32_t& n : counts) n = std::clamp(n, 1u, most_rows(plan));
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

void each_size(const Subject& subject, std::span<const uint32_t> head_dims, uint32_t watch,
               const std::function<void(const CodecProbe& codec)>& job) {
  uint32_t served = 0;
  std::string last;
  for (const uint32_t head_dim : head_dims) {
    std::unique_ptr<CodecProbe> codec;
    try {
      codec = std::make_unique<CodecProbe>(*subject.registry, *subject.module, subject.values, head_dim, watch);
    } catch (const Error& error) {
      last = error.what();
      continue;
    }
    job(*codec);
    served++;
  }
  if (served > 0) return;
  if (head_dims.size() == std::size(kHeadDims)) skip("create() refuses every head size: " + last);
  each_size(subject, kHeadDims, watch, job);
}

std::string side_text(const CodecProbe& codec, uint32_t side) {
  return fmt::format("{}, head_dim {}", side == SLUICE_KEY ? "K" : "V", codec.head_dim);
}

}  // namespace sluice::check
