// The operations that take a batch row by row: embedding, gather, norm, rope, silu and addition.
#include <algorithm>

#include "backends/cuda/cuda.h"

namespace sluice::cuda {
namespace {

sluice_status same_shape(const Backend& backend, const char* operation, const sluice_mat& a, const sluice_mat& b) {
  if (a.rows == b.rows && a.cols == b.cols) return SLUICE_OK;
  return fail(backend, SLUICE_INVALID, "%s: %u x %u and %u x %u should be alike", operation, a.rows, a.cols, b.rows,
              b.cols);
}

sluice_status launch(const Backend& backend, const char* operation, Kernel kernel, const Grid& grid,
                     const void* arguments, const sluice_queue& queue) {
  if (grid.x == 0 || grid.y == 0) return SLUICE_OK;
  return answer(backend, backend.gpu->launch(kernel, grid, arguments, queue.stream), operation);
}

// Enough blocks to keep the device busy, each taking numbers in turns.
Grid over_numbers(const Backend& backend, uint64_t n) {
  const uint64_t blocks = (n + kRowThreads - 1) / kRowThreads;
  return {uint32_t(std::min<uint64_t>(blocks, 16 * backend.facts.processors)), 1, kRowThreads, 0};
}

}  // namespace

sluice_status embed(void* self, sluice_queue* queue, const sluice_weight* table, const uint32_t* tokens,
                    const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (table->cols != out->cols) {
    return fail(backend, SLUICE_INVALID, "embed: rows of %u from a table of %u", out->cols, table->cols);
  }
  const EmbedArgs embed{table->data, table->row_bytes, table->rows, table->cols, tokens, out->data};
  const Grid grid{(table->cols + 4 * kProductThreads - 1) / (4 * kProductThreads), out->rows, kProductThreads, 0};
  return launch(backend, "embed", typed(Typed::kEmbed, table->type), grid, &embed, *queue);
}

sluice_status gather(void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* rows,
                     const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (x->cols != out->cols) return fail(backend, SLUICE_INVALID, "gather: rows of %u from %u", out->cols, x->cols);
  const GatherArgs gather{x->data, x->rows, x->cols, rows, out->data};
  return launch(backend, "gather", Kernel::kGather, {out->rows, 1, kRowThreads, 0}, &gather, *queue);
}

sluice_status rmsnorm(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* gain, float epsilon,
                      const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "rmsnorm", *x, *out)) return status;
  if (gain->rows != 1 || gain->cols != x->cols) {
    return fail(backend, SLUICE_INVALID, "rmsnorm: a gain of %u x %u for rows of %u", gain->rows, gain->cols, x->cols);
  }
  const NormArgs norm{x->data, reinterpret_cast<const float*>(gain->data), out->data, x->cols, epsilon};
  const Grid grid{x->rows, 1, kRowThreads, kRowThreads / kWarp * uint32_t(sizeof(float))};
  return launch(backend, "rmsnorm", Kernel::kRmsnorm, grid, &norm, *queue);
}

sluice_status rope(void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* positions,
                   const float* frequency, uint32_t head_dim) {
  const Backend& backend = backend_of(self);
  if (head_dim == 0 || head_dim % 2 || x->cols % head_dim) {
    return fail(backend, SLUICE_INVALID, "rope: heads of %u in rows of %u", head_dim, x->cols);
  }
  const RopeArgs turn{x->data, x->cols, head_dim, positions, frequency};
  return launch(backend, "rope", Kernel::kRope, {x->rows, 1, 2 * kWarp, 0}, &turn, *queue);
}

sluice_status silu_mul(void* self, sluice_queue* queue, const sluice_mat* gate, const sluice_mat* up,
                       const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "silu_mul", *gate, *up)) return status;
  if (const sluice_status status = same_shape(backend, "silu_mul", *gate, *out)) return status;
  const uint64_t n = uint64_t(gate->rows) * gate->cols;
  const PairArgs pair{gate->data, up->data, out->data, n, n};
  return launch(backend, "silu_mul", Kernel::kSiluMul, over_numbers(backend, n), &pair, *queue);
}

sluice_status add(void* self, sluice_queue* queue, const sluice_mat* a, const sluice_mat* b, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = same_shape(backend, "add", *a, *out)) return status;
  if (b->cols != a->cols || (b->rows != a->rows && b->rows != 1)) return same_shape(backend, "add", *a, *b);
  const uint64_t n = uint64_t(a->rows) * a->cols;
  const PairArgs pair{a->data, b->data, out->data, n, uint64_t(b->rows) * b->cols};
  return launch(backend, "add", Kernel::kAdd, over_numbers(backend, n), &pair, *queue);
}

}  // namespace sluice::cuda
