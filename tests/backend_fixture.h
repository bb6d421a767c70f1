// What the tests of backends share: the cpu backend as the registry loads it, with chosen threads and instruction set,
// random weights of every type, and matrices that know their shape.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/plugins/registry.h"
#include "core/plugins/thread_pool.h"
#include "sluice/gguf_types.h"
#include "sluice/half.h"

namespace sluice::testing {

using Floats = std::vector<float>;

struct Options {
  unsigned threads = 1;
  std::string isa = "auto";
  std::string memory;
  bool repack = true;
};

inline std::vector<std::string> split_choices(const char* choices) {
  std::vector<std::string> names(1);
  for (const char* c = choices; *c; c++) {
    if (*c == '|')
      names.emplace_back();
    else
      names.back() += *c;
  }
  return names;
}

// The backend that SLUICE_TEST_BACKEND names, cpu without it. Throws Error where create() refuses.
class Cpu {
 public:
  explicit Cpu(const Options& options = {})
      : pool_(options.threads), registry_(std::vector<std::filesystem::path>{SLUICE_PLUGINS}, pool_) {
    const char* named = std::getenv("SLUICE_TEST_BACKEND");
    const sluice_module& module = registry_.find(SLUICE_BACKEND, named ? named : "cpu");
    std::vector<sluice_value> values;
    for (uint32_t i = 0; i < module.param_count; i++) {
      const sluice_param& p = module.params[i];
      values.push_back(p.initial);
      const std::string_view name = p.name;
      if (name == "threads") values.back().i = options.threads;
      if (name == "memory") values.back().s = options.memory.c_str();
      if (name == "repack") values.back().i = options.repack;
      if (name == "isa") {
        const auto names = split_choices(p.choices);
        for (size_t k = 0; k < names.size(); k++) {
          if (names[k] == options.isa) values.back().i = int64_t(k);
        }
      }
    }
    instance_ = registry_.create_backend(module, values);
    table = &instance_.table<sluice_backend>();
    self = instance_.self();
    check(table->queue_create(self, 0, &fast));
    check(table->queue_create(self, 1, &exact));
  }
  ~Cpu() {
    if (fast) table->queue_destroy(self, fast);
    if (exact) table->queue_destroy(self, exact);
  }
  void check(sluice_status status) const { instance_.check(status, "test"); }
  std::string kernels() const {
    sluice_device device;
    check(table->device(self, &device));
    return device.kernels;
  }
  Instance& instance() { return instance_; }

  const sluice_backend* table = nullptr;
  void* self = nullptr;
  sluice_queue *fast = nullptr, *exact = nullptr;

 private:
  ThreadPool pool_;
  Registry registry_;
  Instance instance_;
};

// The instruction sets that this processor has; others cannot be created.
inline std::vector<std::string> usable_isas() {
  std::vector<std::string> usable;
  for (const char* isa : {"portable", "avx2", "avx512vnni", "neon"}) {
    try {
      Cpu cpu({1, isa, "", true});
      usable.emplace_back(isa);
    } catch (const Error&) {
    }
  }
  return usable;
}

struct Mat {
  uint32_t rows, cols;
  Floats data;
  Mat(uint32_t r, uint32_t c) : rows(r), cols(c), data(size_t(r) * c) {}
  sluice_mat view() { return {data.data(), rows, cols}; }
  float* row(size_t r) { return data.data() + r * cols; }
  const float* row(size_t r) const { return data.data() + r * cols; }
};

inline Mat random_mat(uint32_t rows, uint32_t cols, unsigned seed, float scale = 1) {
  Mat m(rows, cols);
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, scale);
  for (float& x : m.data) x = normal(rng);
  return m;
}

inline void put_half(uint8_t* p, float f) {
  const uint16_t h = sluice_to_half(f);
  std::memcpy(p, &h, 2);
}

// Random blocks: all codes are random, scales are modest numbers of both signs.
inline std::vector<uint8_t> random_weights(uint32_t type, uint32_t rows, uint32_t cols, unsigned seed) {
  const sluice_gguf_type* info = sluice_gguf_type_info(type);
  const size_t blocks = size_t(rows) * cols / info->block;
  std::vector<uint8_t> bytes(blocks * info->bytes);
  std::mt19937 rng(seed);
  for (uint8_t& b : bytes) b = uint8_t(rng());
  const auto scale = [&] { return (float(rng() % 1000) + 24) / 16384.0f * (rng() % 4 ? 1.0f : -1.0f); };
  for (size_t i = 0; i < blocks; i++) {
    uint8_t* b = bytes.data() + i * info->bytes;
    switch (type) {
      case SLUICE_GGUF_F32: {
        const float f = scale() * 8;
        std::memcpy(b, &f, 4);
        break;
      }
      case SLUICE_GGUF_F16:
        put_half(b, scale() * 8);
        break;
      case SLUICE_GGUF_BF16: {
        const float f = scale() * 8;
        std::memcpy(b, reinterpret_cast<const char*>(&f) + 2, 2);
        break;
      }
      case SLUICE_GGUF_Q4_1:
      case SLUICE_GGUF_Q5_1:
        put_half(b + 2, scale());
        [[fallthrough]];
      case SLUICE_GGUF_Q4_0:
      case SLUICE_GGUF_Q5_0:
      case SLUICE_GGUF_Q8_0:
      case SLUICE_GGUF_IQ4_NL:
        put_half(b, scale());
        break;
      case SLUICE_GGUF_Q2_K:
        put_half(reinterpret_cast<sluice_q2_k*>(b)->d, scale());
        put_half(reinterpret_cast<sluice_q2_k*>(b)->dmin, scale());
        break;
      case SLUICE_GGUF_Q3_K:
        put_half(reinterpret_cast<sluice_q3_k*>(b)->d, scale());
        break;
      case SLUICE_GGUF_Q4_K:
      case SLUICE_GGUF_Q5_K:
        put_half(b, scale());
        put_half(b + 2, scale());
        break;
      case SLUICE_GGUF_Q6_K:
        put_half(reinterpret_cast<sluice_q6_k*>(b)->d, scale());
        break;
      default:
        throw std::logic_error("a type without scales");
    }
  }
  return bytes;
}

inline std::vector<uint32_t> all_types() {
  std::vector<uint32_t> types;
  for (uint32_t i = 0; const sluice_gguf_type* t = sluice_gguf_type_at(i); i++) types.push_back(t->type);
  return types;
}

inline bool is_float_type(uint32_t type) {
  return type == SLUICE_GGUF_F32 || type == SLUICE_GGUF_F16 || type == SLUICE_GGUF_BF16;
}

// A weight of the backend and its exact values.
struct Weight {
  Weight(Cpu& backend, uint32_t type, uint32_t rows, uint32_t cols, unsigned seed) : cpu(backend), values(rows, cols) {
    const std::vector<uint8_t> bytes = random_weights(type, rows, cols, seed);
    sluice_gguf_dequantize(type, bytes.data(), size_t(rows) * cols, values.data.data());
    cpu.check(cpu.table->weight_create(cpu.self, type, rows, cols, bytes.data(), bytes.size(), &weight));
    file_bytes = bytes.size();
  }
  ~Weight() { cpu.table->weight_destroy(cpu.self, weight); }
  Weight(const Weight&) = delete;

  Cpu& cpu;
  Mat values;
  sluice_weight* weight = nullptr;
  uint64_t file_bytes = 0;
};

}  // namespace sluice::testing
