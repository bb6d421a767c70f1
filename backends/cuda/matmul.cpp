// Matmul: a few rows of activations go through the fused product, which reads the weights once; many through cuBLAS,
// tile by tile of weights made into plain numbers. Float weights, and exact queues, multiply in float throughout.
#include <algorithm>

#include "backends/cuda/cuda.h"

namespace sluice::cuda {
namespace {

constexpr uint32_t kFew = 16;                 // rows up to which weights are read once per 4 rows
constexpr uint64_t kTileNumbers = 16u << 20;  // of weights, in a tile
constexpr uint32_t kMostRows = 65535;         // of a grid's second dimension

bool float_type(uint32_t type) {
  return kTypes[type] == SLUICE_GGUF_F32 || kTypes[type] == SLUICE_GGUF_F16 || kTypes[type] == SLUICE_GGUF_BF16;
}

uint32_t ceiling(uint64_t n, uint64_t per) { return uint32_t((n + per - 1) / per); }

sluice_status few_rows(Backend& backend, sluice_queue& queue, const sluice_mat& x, const sluice_weight& w,
                       const sluice_mat& out, bool fast) {
  const uint32_t chunks = ceiling(w.cols, 32);
  ProductArgs product{w.data, w.row_bytes, w.rows, w.cols, x.data, nullptr, x.rows, out.data};
  constexpr uint32_t kWarps = kProductThreads / kWarp;
  if (fast) {
    const uint64_t bytes = uint64_t(x.rows) * chunks * sizeof(QuantBlock);
    if (const sluice_status s = reserve(backend, queue, queue.activations, bytes, "matmul: activations")) return s;
    auto* const quantized = static_cast<QuantBlock*>(queue.activations.data);
    const QuantizeArgs quantize{x.data, x.rows, w.cols, quantized};
    const Code code = backend.gpu->launch(Kernel::kQuantize, {ceiling(chunks, kWarps), x.rows, kProductThreads, 0},
                                          &quantize, queue.stream);
    if (code != kFine) return answer(backend, code, "matmul");
    product.xq = quantized;
  }
  const Grid grid{ceiling(w.rows, kWarps), ceiling(x.rows, kBatchTile), kProductThreads, 0};
  const Kernel kernel = typed(fast ? Typed::kFastProduct : Typed::kExactProduct, w.type);
  return answer(backend, backend.gpu->launch(kernel, grid, &product, queue.stream), "matmul");
}

sluice_status many_rows(Backend& backend, sluice_queue& queue, const sluice_mat& x, const sluice_weight& w,
                        const sluice_mat& out, bool halves) {
  const uint64_t number = halves ? sizeof(uint16_t) : sizeof(float);
  const uint32_t most = std::min<uint32_t>(kMostRows, uint32_t(std::max<uint64_t>(1, kTileNumbers / w.cols)));
  const uint32_t tile = std::min(w.rows, most);
  const bool plain = kTypes[w.type] == SLUICE_GGUF_F32;  // weights are multiplied where they lie
  const void* activations = x.data;
  if (halves) {
    const uint64_t n = uint64_t(x.rows) * x.cols;
    if (const sluice_status s = reserve(backend, queue, queue.activations, n * number, "matmul: activations")) return s;
    const HalvesArgs convert{x.data, n, static_cast<uint16_t*>(queue.activations.data)};
    const Grid grid{std::min(ceiling(n, kRowThreads), 16 * backend.facts.processors), 1, kRowThreads, 0};
    if (const Code code = backend.gpu->launch(Kernel::kHalves, grid, &convert, queue.stream))
      return answer(backend, code, "matmul");
    activations = queue.activations.data;
  }
  if (!plain) {
    const uint64_t bytes = uint64_t(tile) * w.cols * number;
    if (const sluice_status s = reserve(backend, queue, queue.tile, bytes, "matmul: a tile of weights")) return s;
  }
  if (const sluice_status s = reserve(backend, queue, queue.workspace, kWorkspace, "matmul: workspace")) return s;
  for (uint32_t first = 0; first < w.rows; first += tile) {
    const uint32_t rows = std::min(tile, w.rows - first);
    const uint8_t* const from = w.data + first * w.row_bytes;
    const void* numbers = from;
    if (!plain) {
      const DequantizeArgs unpack{from, w.row_bytes, rows, w.cols, queue.tile.data};
      const Kernel kernel = typed(halves ? Typed::kToHalves : Typed::kToFloats, w.type);
      const Grid grid{ceiling(w.cols, 4 * kProductThreads), rows, kProductThreads, 0};
      if (const Code code = backend.gpu->launch(kernel, grid, &unpack, queue.stream))
        return answer(backend, code, "matmul");
      numbers = queue.tile.data;
    }
    const Gemm gemm{numbers,  activations, out.data + first,    rows, w.cols, x.rows,
                    out.cols, halves,      queue.workspace.data};
    if (const Code code = backend.gpu->gemm(gemm, queue.stream)) return answer(backend, code, "matmul");
  }
  return SLUICE_OK;
}

}  // namespace

sluice_status matmul(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                     const sluice_mat* out) {
  Backend& backend = backend_of(self);
  if (x->cols != w->cols || out->cols != w->rows || out->rows != x->rows) {
    return fail(backend, SLUICE_INVALID, "matmul: %u x %u weights, %u x %u in, %u x %u out", w->rows, w->cols, x->rows,
                x->cols, out->rows, out->cols);
  }
  if (x->rows == 0) return SLUICE_OK;
  const bool fast = !queue->exact && !float_type(w->type);
  if (x->rows <= kFew || w->rows == 1) return few_rows(backend, *queue, *x, *w, *out, fast);
  return many_rows(backend, *queue, *x, *w, *out, fast);
}

}  // namespace sluice::cuda
