// See backend_probe.h.
#include "core/check/backend_probe.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "sluice/gguf_types.h"
#include "sluice/half.h"

namespace sluice::check {

Mat Mat::part(uint32_t first, uint32_t count) const {
  Mat some(count, cols);
  some.data.assign(row(first), row(first + count));
  return some;
}

Mat random_mat(uint32_t rows, uint32_t cols, uint64_t seed, float scale) {
  Mat m(rows, cols);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, scale);
  for (float& x : m.data) x = normal(random);
  return m;
}

BackendProbe::BackendProbe(Registry& registry, const sluice_module& module, std::span<const sluice_value> values)
    : instance_(registry.create_backend(module, values)) {
  table = &instance_.table<sluice_backend>();
  self = instance_.self();
  check(table->device(self, &device_), "device");
  check(table->queue_create(self, 0, &fast), "queue_create");
  check(table->queue_create(self, 1, &exact), "queue_create");
}

BackendProbe::~BackendProbe() {
  for (const Pieces* pieces : {&calls_, &lasting_})
    for (const auto& buffer : pieces->buffers) table->buffer_destroy(self, buffer.data());
  if (fast) table->queue_destroy(self, fast);
  if (exact) table->queue_destroy(self, exact);
}

void* BackendProbe::take(size_t bytes, bool lasting) {
  constexpr size_t kPiece = size_t(16) << 20, kAlign = 64;
  Pieces& from = lasting ? lasting_ : calls_;
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  while (from.piece < from.buffers.size() && from.used + bytes > from.buffers[from.piece].size())
    from.piece++, from.used = 0;
  if (from.piece == from.buffers.size()) {
    void* address = nullptr;
    const size_t size = std::max(bytes, kPiece);
    check(table->buffer_create(self, SLUICE_USE_ACTIVATIONS, size, &address), "buffer_create");
    from.buffers.emplace_back(static_cast<std::byte*>(address), size);
    from.used = 0;
  }
  void* const at = from.buffers[from.piece].data() + from.used;
  from.used += bytes;
  return at;
}

void BackendProbe::upload(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(table->write(self, exact, to, from, bytes), "write");
  check(table->wait(self, exact), "wait");
}

void BackendProbe::download(const void* from, void* to, size_t bytes) {
  check(table->wait(self, fast), "wait");
  if (bytes) check(table->read(self, exact, from, to, bytes), "read");
  check(table->wait(self, exact), "wait");
}

sluice_mat BackendProbe::room(uint32_t rows, uint32_t cols) {
  Mat junk(rows, cols);
  std::fill(junk.data.begin(), junk.data.end(), 77.0f);
  return put(junk);
}

Mat BackendProbe::get(const sluice_mat& m) {
  Mat copy(m.rows, m.cols);
  get(m.data, copy.data);
  return copy;
}

Weight::Weight(BackendProbe& probe, uint32_t type, uint32_t rows, uint32_t cols, uint64_t seed)
    : backend(probe), values(rows, cols), file(random_weights(type, rows, cols, seed)) {
  sluice_gguf_dequantize(type, file.data(), size_t(rows) * cols, values.data.data());
  backend.check(backend.table->weight_create(backend.self, type, rows, cols, file.data(), file.size(), &weight),
                "weight_create");
}

void put_half(uint8_t* to, float value) {
  const uint16_t h = sluice_to_half(value);
  std::memcpy(to, &h, 2);
}

std::vector<uint8_t> random_weights(uint32_t type, uint32_t rows, uint32_t cols, uint64_t seed) {
  const sluice_gguf_type* info = sluice_gguf_type_info(type);
  const size_t blocks = size_t(rows) * cols / info->block;
  std::vector<uint8_t> bytes(blocks * info->bytes);
  std::mt19937_64 random(seed);
  for (uint8_t& b : bytes) b = uint8_t(random());
  const auto scale = [&] { return (float(random() % 1000) + 24) / 16384.0f * (random() % 4 ? 1.0f : -1.0f); };
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

std::vector<uint32_t> all_types() {
  std::vector<uint32_t> types;
  for (uint32_t i = 0; const sluice_gguf_type* t = sluice_gguf_type_at(i); i++) types.push_back(t->type);
  return types;
}

bool is_float_type(uint32_t type) {
  return type == SLUICE_GGUF_F32 || type == SLUICE_GGUF_F16 || type == SLUICE_GGUF_BF16;
}

const char* type_name(uint32_t type) { return sluice_gguf_type_info(type)->name; }

}  // namespace sluice::check
