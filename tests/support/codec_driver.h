// Drives one codec through the C table as a host would: aligned memory between guard bytes, blocks that move, and a
// check of what no verb may do. What the numbers should be is codec_reference.h's business.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/plugins/registry.h"
#include "sluice/kernels.h"

namespace sluice::testing {

inline Registry& codec_registry() {
  static ThreadPool pool(1);
  static const std::filesystem::path folder[] = {SLUICE_PLUGINS};
  static Registry registry(folder, pool);
  return registry;
}

using CodecParameter = std::variant<int, double, std::string>;
using CodecParameters = std::map<std::string, CodecParameter>;

// The module's defaults with some parameters set by name; choices by their text.
inline Instance make_codec(const std::string& name, const CodecParameters& set, uint32_t head_dim) {
  const sluice_module& module = codec_registry().find(SLUICE_CODEC, name);
  std::vector<sluice_value> values;
  size_t used = 0;
  for (uint32_t p = 0; p < module.param_count; p++) {
    const sluice_param& param = module.params[p];
    sluice_value value = param.initial;
    if (const auto found = set.find(param.name); found != set.end()) {
      used++;
      const int* integer = std::get_if<int>(&found->second);
      if (const double* real = std::get_if<double>(&found->second)) value.f = *real;
      if (param.type == SLUICE_CHOICE) {
        const std::string wanted = integer ? std::to_string(*integer) : std::get<std::string>(found->second);
        std::string choices = param.choices;
        value.i = 0;
        for (size_t at; (at = choices.find('|')) != std::string::npos && choices.substr(0, at) != wanted; value.i++)
          choices.erase(0, at + 1);
      } else if (integer && param.type == SLUICE_FLOAT) {
        value.f = *integer;
      } else if (integer) {
        value.i = *integer;
      }
    }
    values.push_back(value);
  }
  if (used != set.size()) throw std::logic_error("no such parameter of " + name);
  return codec_registry().create_policy(module, {2, 8, 4, head_dim, 4096}, values);
}

// Bytes at a 64-byte boundary with guard bytes on both sides, filled with junk.
class Guarded {
 public:
  explicit Guarded(size_t bytes = 0) : bytes_(bytes), memory_(new unsigned char[bytes + 3 * 64]) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.get());
    offset_ = size_t((64 - address % 64) % 64 + 64);
    std::memset(memory_.get(), 0xA5, bytes + 3 * 64);
  }
  Guarded(const Guarded& other) : Guarded(other.bytes_) { std::memcpy(data(), other.data(), bytes_); }
  Guarded& operator=(Guarded other) {
    std::swap(bytes_, other.bytes_), std::swap(offset_, other.offset_), memory_.swap(other.memory_);
    return *this;
  }
  unsigned char* data() const { return memory_.get() + offset_; }
  size_t size() const { return bytes_; }
  bool intact() const {
    for (size_t i = offset_ - 64; i < offset_; i++)
      if (memory_[i] != 0xA5) return false;
    for (size_t i = offset_ + bytes_; i < offset_ + bytes_ + 64; i++)
      if (memory_[i] != 0xA5) return false;
    return true;
  }

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

class CodecDriver {
 public:
  CodecDriver(const std::string& name, const CodecParameters& set, uint32_t dim)
      : head_dim(dim), instance_(make_codec(name, set, dim)) {}

  const uint32_t head_dim;
  const Instance& instance() const { return instance_; }
  const sluice_codec& table() const { return instance_.table<sluice_codec>(); }
  const void* self() const { return instance_.self(); }
  sluice_codec_plan plan(uint32_t side) const {
    sluice_codec_plan plan{};
    table().plan(self(), side, &plan);
    return plan;
  }

  Coded encode(uint32_t side, const Rows& rows, uint64_t seed = 1, uint32_t prompt = 0) const {
    Coded coded;
    coded.block = {0, 0, side, uint32_t(rows.size() / head_dim), seed, prompt, 0};
    Guarded scratch(table().scratch(self(), side, coded.block.rows, 0));
    Guarded out(table().bound(self(), side, coded.block.rows));
    size_t bytes = 0;
    instance_.check(table().encode(self(), &coded.block, rows.data(), scratch.data(), out.data(), &bytes), "encode");
    EXPECT_TRUE(scratch.intact()) << "encode wrote past its scratch";
    EXPECT_TRUE(out.intact()) << "encode wrote past bound()";
    EXPECT_LE(bytes, out.size());
    coded.memory = Guarded(bytes);
    std::memcpy(coded.memory.data(), out.data(), bytes);
    check_account(coded);
    return coded;
  }

  Rows decode(const Coded& coded, uint32_t first, uint32_t count) const {
    Guarded rows(size_t(count) * head_dim * sizeof(float));
    auto* x = reinterpret_cast<float*>(rows.data());
    instance_.check(table().decode(self(), &coded.block, coded.memory.data(), first, count, x), "decode");
    EXPECT_TRUE(rows.intact()) << "decode wrote past its rows";
    return Rows(x, x + size_t(count) * head_dim);
  }
  Rows decode(const Coded& coded) const {
    Rows all;
    for (uint32_t first = 0; first < coded.block.rows; first += 64) {
      const Rows part = decode(coded, first, std::min(64u, coded.block.rows - first));
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }

  // account() sees the first 64 bytes only.
  sluice_account account(const Coded& coded) const {
    Guarded head(64);
    std::memcpy(head.data(), coded.memory.data(), std::min<size_t>(64, coded.memory.size()));
    sluice_account account{};
    table().account(self(), &coded.block, head.data(), &account);
    return account;
  }
  static uint64_t sum(const sluice_account& a) {
    return a.codes + a.scales + a.low_rank + a.outlier_values + a.outlier_indices + a.row_pointers + a.index +
           a.padding;
  }
  void check_account(const Coded& coded) const {
    EXPECT_EQ(sum(account(coded)), coded.memory.size()) << "account() does not add up";
  }

  void retain(Coded& coded, const std::vector<uint32_t>& keep) const {
    size_t bytes = 0;
    const size_t before = coded.memory.size();
    instance_.check(
        table().retain(self(), &coded.block, coded.memory.data(), keep.data(), uint32_t(keep.size()), &bytes),
        "retain");
    EXPECT_TRUE(coded.memory.intact()) << "retain wrote past the block";
    EXPECT_LE(bytes, before) << "retain made the block larger";
    Coded moved;
    moved.block = coded.block;
    moved.block.rows = uint32_t(keep.size());
    moved.memory = Guarded(bytes);
    std::memcpy(moved.memory.data(), coded.memory.data(), bytes);
    coded = moved;
    check_account(coded);
  }

  // A tile over spans; slots NULL: runs one after the other.
  sluice_tile tile(uint32_t side, uint32_t queries, const std::vector<sluice_span>& spans, size_t stride,
                   Guarded& scratch) const {
    uint32_t rows = 1;
    for (const sluice_span& span : spans) rows = std::max(rows, span.rows);
    scratch = Guarded(table().scratch(self(), side, rows, queries));
    return {0, 0, queries, uint32_t(spans.size()), spans.data(), stride, scratch.data()};
  }
  void dot(const sluice_tile& tile, const float* q, float* scores) const {
    instance_.check(table().dot(self(), &tile, q, scores), "dot");
  }
  void accumulate(const sluice_tile& tile, const float* weights, float* out) const {
    instance_.check(table().accumulate(self(), &tile, weights, out), "accumulate");
  }

 private:
  Instance instance_;
};

// Rows that half floats can hold.
inline float to_half_and_back(float x) { return sluice_from_half(sluice_to_half(x)); }
inline Rows random_rows(uint32_t rows, uint32_t head_dim, uint64_t seed, float scale = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  Rows x(size_t(rows) * head_dim);
  for (float& v : x) v = to_half_and_back(scale * normal(engine));
  return x;
}
// As keys are: channels of very different size and offset, and a first row unlike the others.
inline Rows key_like_rows(uint32_t rows, uint32_t head_dim, uint64_t seed) {
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

}  // namespace sluice::testing
