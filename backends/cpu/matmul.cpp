// Matmul: quantizes activations where the queue allows it, cuts the work into panels of weights and blocks of batch
// rows, and calls the kernels. How it is cut does not show in the result.
#include <algorithm>

#include "backends/cpu/cpu.h"

namespace sluice::cpu {
namespace {

constexpr uint32_t kPass = 512;  // batch rows whose activations are quantized at a time

// One row of weights: too little for a panel. Sums in the order of columns.
void vector_matmul(const sluice_mat& x, const sluice_weight& w, const sluice_mat& out) {
  for (uint32_t t = 0; t < x.rows; t++) {
    const float* row = x.data + size_t(t) * x.cols;
    float sum = 0;
    for (uint32_t c = 0; c < w.cols; c++) sum += row[c] * w.vector[c];
    out.data[t] = sum;
  }
}

// Calls work(panel, where it lies, first batch row, rows) for all panels and for the batch rows in blocks of kBatch.
template <class F>
void for_panels(const Backend& backend, const sluice_queue& queue, const sluice_weight& w, uint32_t rows, F&& work) {
  const uint32_t panels = (w.rows + kPanelRows - 1) / kPanelRows, blocks = (rows + kBatch - 1) / kBatch;
  // Jobs of a few microseconds, or less where there would not be enough of them: by rough costs of memory and of
  // arithmetic. A multiple of the threads, so that equal jobs end together.
  constexpr double kBytesPerNs = 15, kProductsPerNs = 40, kJobNs = 4000;
  const double panel_ns = std::max(double(w.panel_bytes) / kBytesPerNs,
                                   double(w.cols) * kPanelRows * std::min(rows, kBatch) / kProductsPerNs);
  uint32_t pieces = uint32_t(std::min<double>(panels, std::max(1.0, panels * panel_ns / kJobNs)));
  if (backend.threads > 1 && panels * panel_ns > kJobNs / 4) {
    pieces = std::min(panels, (pieces + backend.threads - 1) / backend.threads * backend.threads);
  }
  parallel(backend, pieces * blocks, [&](uint32_t job) {
    const uint32_t piece = job / blocks, first = job % blocks * kBatch;  // batch blocks inside: a panel stays in cache
    const uint32_t n = std::min(kBatch, rows - first);
    const uint32_t end = uint32_t(uint64_t(panels) * (piece + 1) / pieces);
    const auto run = [&](uint8_t* workspace) {
      for (uint32_t p = uint32_t(uint64_t(panels) * piece / pieces); p < end; p++) {
        work(p, weight_panel(w, p, workspace), first, n);
      }
    };
    if (w.panels) return run(nullptr);
    const OwnWorkspace own(queue);
    run(own.bytes());
  });
}

}  // namespace

sluice_status matmul(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                     const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (x->cols != w->cols || out->cols != w->rows || out->rows != x->rows) {
    return fail(backend, SLUICE_INVALID, "matmul: %u x %u weights, %u x %u in, %u x %u out", w->rows, w->cols, x->rows,
                x->cols, out->rows, out->cols);
  }
  if (x->rows == 0) return SLUICE_OK;
  if (w->vector) {
    vector_matmul(*x, *w, *out);
    return SLUICE_OK;
  }
  if (!w->panels && !prepare_workspaces(backend, *queue, w->panel_bytes)) {
    return fail(backend, SLUICE_NO_MEMORY, "matmul: no memory for panels of %llu bytes",
                (unsigned long long)w->panel_bytes);
  }
  const auto valid = [&](uint32_t panel) { return std::min(kPanelRows, w->rows - panel * kPanelRows); };
  const MatmulKernels& kernels = *backend.kernels->matmul;
  const auto fast = kernels.fast[w->layout];
  if (queue->exact || !fast) {
    const auto exact = kernels.exact[w->layout];
    for_panels(backend, *queue, *w, x->rows, [&](uint32_t panel, const uint8_t* at, uint32_t first, uint32_t n) {
      exact({at, w->cols, x->data + size_t(first) * x->cols, x->cols, n,
             out->data + size_t(first) * out->cols + panel * kPanelRows, out->cols, valid(panel)});
    });
    return SLUICE_OK;
  }
  const uint32_t blocks = w->cols / kBlockColumns;
  const uint32_t most = std::min(x->rows, kPass);
  auto* quantized =
      static_cast<QuantBlock*>(reserve(backend, queue->activations, size_t(most) * blocks * sizeof(QuantBlock)));
  if (!quantized) return fail(backend, SLUICE_NO_MEMORY, "matmul: no memory for %u rows of activations", most);
  for (uint32_t pass = 0; pass < x->rows; pass += kPass) {
    const uint32_t rows = std::min(kPass, x->rows - pass);
    const float* in = x->data + size_t(pass) * x->cols;
    float* to = out->data + size_t(pass) * out->cols;
    // Block by block of the columns, so that a kernel finds the rows it wants next to each other: [block][rows].
    parallel_rows(backend, rows, x->cols, [&](uint32_t first, uint32_t last) {
      for (uint32_t t = first; t < last; t++) {
        backend.kernels->rows->quantize(in + size_t(t) * x->cols, x->cols, quantized + t, rows);
      }
    });
    for_panels(backend, *queue, *w, rows, [&](uint32_t panel, const uint8_t* at, uint32_t first, uint32_t n) {
      fast({at, w->cols, quantized + first, rows, n, to + size_t(first) * out->cols + panel * kPanelRows, out->cols,
            valid(panel)});
    });
  }
  return SLUICE_OK;
}

}  // namespace sluice::cpu
