// The operations that take a batch row by row: embedding, gather, norm, rope, silu and addition.
#include <cmath>
#include <cstring>

#include "backends/cpu/cpu.h"

namespace sluice::cpu {
namespace {

sluice_status same_shape(const Backend& backend, const char* operation, const sluice_mat& a, const sluice_mat& b) {
  if (a.rows == b.rows && a.cols == b.cols) return SLUICE_OK;
  return fail(backend, SLUICE_INVALID, "%s: %u x %u and %u x %u should be alike", operation, a.rows, a.cols, b.rows,
              b.cols);
}

float* row_of(const sluice_mat& m, size_t row) { return m.data + row * m.cols; }

// The (cos, sin) pairs of the rows' positions, float [rows][head_dim]. All layers turn q and k by the same angles, so
// the queue keeps the last ones with what they were made of: frequencies, then positions. The angle is a product in
// double: in float, position 4000 would be off by a hundredth of a degree.
const float* rotations(const Backend& backend, sluice_queue& queue, uint32_t rows, const uint32_t* positions,
                       const float* frequency, uint32_t head_dim) {
  const uint32_t half = head_dim / 2;
  const size_t tables = size_t(rows) * head_dim, keys = half + rows;
  const bool roomy = (tables + keys) * 4 <= queue.rotations.bytes;
  float* table = static_cast<float*>(reserve(backend, queue.rotations, (tables + keys) * 4));
  if (!table) return nullptr;
  float* key_frequency = table + tables;
  auto* key_positions = reinterpret_cast<uint32_t*>(key_frequency + half);
  if (roomy && queue.rotation_rows == rows && queue.rotation_dim == head_dim &&
      std::memcmp(key_frequency, frequency, half * sizeof(float)) == 0 &&
      std::memcmp(key_positions, positions, rows * sizeof(uint32_t)) == 0) {
    return table;
  }
  std::memcpy(key_frequency, frequency, half * sizeof(float));
  std::memcpy(key_positions, positions, rows * sizeof(uint32_t));
  queue.rotation_rows = rows;
  queue.rotation_dim = head_dim;
  parallel_rows(backend, rows, half * 30, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) {
      float* to = table + size_t(t) * head_dim;
      for (uint32_t i = 0; i < half; i++) {
        const double angle = double(positions[t]) * double(frequency[i]);
        to[2 * i] = float(std::cos(angle));
        to[2 * i + 1] = float(std::sin(angle));
      }
    }
  });
  return table;
}

}  // namespace

sluice_status embed(void* self, sluice_queue*, const sluice_weight* table, const uint32_t* tokens,
                    const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (table->cols != out->cols) {
    return fail(backend, SLUICE_INVALID, "embed: rows of %u from a table of %u", out->cols, table->cols);
  }
  for (uint32_t t = 0; t < out->rows; t++) {
    if (tokens[t] >= table->rows) {
      return fail(backend, SLUICE_INVALID, "embed: token %u, but the table has %u rows", tokens[t], table->rows);
    }
  }
  parallel_rows(backend, out->rows, uint64_t(out->cols) * 4, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) weight_row(*table, tokens[t], row_of(*out, t));
  });
  return SLUICE_OK;
}

sluice_status gather(void* self, sluice_queue*, const sluice_mat* x, const uint32_t* rows, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (x->cols != out->cols) return fail(backend, SLUICE_INVALID, "gather: rows of %u from %u", out->cols, x->cols);
  for (uint32_t t = 0; t < out->rows; t++) {
    if (rows[t] >= x->rows) return fail(backend, SLUICE_INVALID, "gather: row %u of %u", rows[t], x->rows);
    std::memcpy(row_of(*out, t), row_of(*x, rows[t]), x->cols * sizeof(float));
  }
  return SLUICE_OK;
}

sluice_status rmsnorm(void* self, sluice_queue*, const sluice_mat* x, const sluice_weight* gain, float epsilon,
                      const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "rmsnorm", *x, *out)) return status;
  if (!gain->vector || gain->cols != x->cols) {
    return fail(backend, SLUICE_INVALID, "rmsnorm: a gain of %u x %u for rows of %u", gain->rows, gain->cols, x->cols);
  }
  parallel_rows(backend, x->rows, x->cols, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) {
      backend.kernels->rows->rmsnorm(row_of(*x, t), gain->vector, x->cols, epsilon, row_of(*out, t));
    }
  });
  return SLUICE_OK;
}

sluice_status rope(void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* positions,
                   const float* frequency, uint32_t head_dim) {
  const Backend& backend = backend_of(self);
  if (head_dim == 0 || head_dim % 2 || x->cols % head_dim) {
    return fail(backend, SLUICE_INVALID, "rope: heads of %u in rows of %u", head_dim, x->cols);
  }
  if (x->rows == 0) return SLUICE_OK;
  const float* table = rotations(backend, *queue, x->rows, positions, frequency, head_dim);
  if (!table) return fail(backend, SLUICE_NO_MEMORY, "rope: no memory for the angles of %u rows", x->rows);
  parallel_rows(backend, x->rows, x->cols, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) {
      for (uint32_t c = 0; c < x->cols; c += head_dim) {
        backend.kernels->rows->rotate(row_of(*x, t) + c, table + size_t(t) * head_dim, head_dim);
      }
    }
  });
  return SLUICE_OK;
}

sluice_status silu_mul(void* self, sluice_queue*, const sluice_mat* gate, const sluice_mat* up, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "silu_mul", *gate, *up)) return status;
  if (const sluice_status status = same_shape(backend, "silu_mul", *gate, *out)) return status;
  parallel_rows(backend, gate->rows, uint64_t(gate->cols) * 4, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) {
      backend.kernels->rows->silu_mul(row_of(*gate, t), row_of(*up, t), gate->cols, row_of(*out, t));
    }
  });
  return SLUICE_OK;
}

sluice_status add(void* self, sluice_queue*, const sluice_mat* a, const sluice_mat* b, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "add", *a, *out)) return status;
  if (b->cols != a->cols || (b->rows != a->rows && b->rows != 1)) return same_shape(backend, "add", *a, *b);
  parallel_rows(backend, a->rows, a->cols, [&](uint32_t first, uint32_t last) {
    for (uint32_t t = first; t < last; t++) {
      backend.kernels->rows->add(row_of(*a, t), row_of(*b, b->rows == 1 ? 0 : t), a->cols, row_of(*out, t));
    }
  });
  return SLUICE_OK;
}

}  // namespace sluice::cpu
