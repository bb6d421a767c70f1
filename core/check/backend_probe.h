// Calls one backend through its C table as a host would, on whatever memory its device has: matrices go up, operations
// run, results come down. What they should be is said by the backend_*.cpp checks.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/check/check.h"

namespace sluice::check {

// On the host.
struct Mat {
  uint32_t rows, cols;
  std::vector<float> data;
  Mat(uint32_t r, uint32_t c) : rows(r), cols(c), data(size_t(r) * c) {}
  sluice_mat view() { return {data.data(), rows, cols}; }
  float* row(size_t r) { return data.data() + r * cols; }
  const float* row(size_t r) const { return data.data() + r * cols; }
  Mat part(uint32_t first, uint32_t count) const;  // rows first .. first + count - 1
};
Mat random_mat(uint32_t rows, uint32_t cols, uint64_t seed, float scale = 1);

class BackendProbe {
 public:
  // Throws Error where create() refuses.
  BackendProbe(Registry& registry, const sluice_module& module, std::span<const sluice_value> values);
  explicit BackendProbe(const Subject& subject) : BackendProbe(*subject.registry, *subject.module, subject.values) {}
  BackendProbe(const BackendProbe&) = delete;
  ~BackendProbe();

  // Throws Error with the backend's words.
  void check(sluice_status status, std::string_view verb = "test") const { instance_.check(status, verb); }
  Instance& instance() { return instance_; }
  const sluice_device& device() const { return device_; }
  sluice_queue* queue(bool wants_exact) const { return wants_exact ? exact : fast; }

  // ---- device memory: what lives for one call after another, until clear(), or (lasting) as long as the probe
  void* take(size_t bytes, bool lasting = false);
  void upload(void* to, const void* from, size_t bytes);
  void download(const void* from, void* to, size_t bytes);  // waits for both queues
  void clear() { calls_.used = 0, calls_.piece = 0; }
  template <class T>
  T* put(const std::vector<T>& values, bool lasting = false) {
    T* const at = static_cast<T*>(take(values.size() * sizeof(T), lasting));
    upload(at, values.data(), values.size() * sizeof(T));
    return at;
  }
  template <class T>
  void get(const T* from, std::vector<T>& values) {
    download(from, values.data(), values.size() * sizeof(T));
  }
  sluice_mat put(const Mat& m) { return {put(m.data), m.rows, m.cols}; }
  sluice_mat room(uint32_t rows, uint32_t cols);  // filled with junk
  Mat get(const sluice_mat& m);

  const sluice_backend* table = nullptr;
  void* self = nullptr;
  sluice_queue *fast = nullptr, *exact = nullptr;

 private:
  struct Pieces {  // buffers that are handed out from front to back
    std::vector<std::span<std::byte>> buffers;
    size_t piece = 0, used = 0;
  };
  Instance instance_;
  sluice_device device_{};
  Pieces calls_, lasting_;
};

// A weight of the backend and its exact values.
struct Weight {
  Weight(BackendProbe& backend, uint32_t type, uint32_t rows, uint32_t cols, uint64_t seed);
  ~Weight() { backend.table->weight_destroy(backend.self, weight); }
  Weight(const Weight&) = delete;

  BackendProbe& backend;
  Mat values;
  std::vector<uint8_t> file;  // as it stands in a file: a backend may work on it in place
  sluice_weight* weight = nullptr;
};

// Random blocks of a GGUF type: all codes are random, scales are modest numbers of both signs.
std::vector<uint8_t> random_weights(uint32_t type, uint32_t rows, uint32_t cols, uint64_t seed);
void put_half(uint8_t* to, float value);
std::vector<uint32_t> all_types();
bool is_float_type(uint32_t type);
const char* type_name(uint32_t type);

}  // namespace sluice::check
