// Products with weights. Few rows of activations: a warp for each row of weights, which it reads once, dequantizing as
// it goes. Many: weights become tiles of plain numbers that cuBLAS multiplies. Also rows looked up in a table.
#pragma once

#include "backends/cuda/device/weights.h"

namespace sluice::cuda {

// grid: (rows / warps, batch / kBatchTile). Lanes take chunks in turns; a batch row's sums do not depend on its tile.
template <class W, bool fast>
SLUICE_KERNEL product(const ProductArgs a) {
  const uint32_t lane = thread_index() % kWarp, warps = thread_count() / kWarp;
  const uint32_t row = block_x() * warps + thread_index() / kWarp;
  if (row >= a.rows) return;
  const uint8_t* const weights = a.weights + row * a.row_bytes;
  const uint32_t chunks = (a.cols + kChunk - 1) / kChunk, first = block_y() * kBatchTile;
  float sums[kBatchTile] = {};
  for (uint32_t chunk = lane; chunk < chunks; chunk += kWarp) {
    if constexpr (fast) {
      const typename W::Chunk w = W::load(weights, chunk);
      for (uint32_t i = 0; i < kBatchTile; i++) {
        if (first + i < a.batch) sums[i] += W::dot(w, a.xq[uint64_t(first + i) * chunks + chunk]);
      }
    } else {
      for (uint32_t group = 0; group < 8; group++) {
        float w[4];
        W::values(weights, chunk, group, a.cols, w);
        const uint32_t col = chunk * kChunk + 4 * group;
        for (uint32_t i = 0; i < kBatchTile; i++) {
          if (first + i >= a.batch) continue;
          const float* const x = a.x + uint64_t(first + i) * a.cols + col;
          for (uint32_t c = 0; c < 4; c++) {
            if (col + c < a.cols) sums[i] += w[c] * x[c];
          }
        }
      }
    }
  }
  for (uint32_t i = 0; i < kBatchTile; i++) {
    if (first + i >= a.batch) break;
    const float sum = sum_of_lanes(sums[i], kWarp);
    if (lane == 0) a.out[uint64_t(first + i) * a.rows + row] = sum;
  }
}

// grid: (chunks / warps, rows). A lane has one column of its warp's chunk.
SLUICE_KERNEL quantize(const QuantizeArgs a) {
  const uint32_t lane = thread_index() % kWarp, chunks = a.cols / kChunk;
  const uint32_t chunk = block_x() * (thread_count() / kWarp) + thread_index() / kWarp;
  if (chunk >= chunks) return;
  const float x = a.x[uint64_t(block_y()) * a.cols + chunk * kChunk + lane];
  const float d = largest_of_lanes(fabsf(x), kWarp) / 127;
  const float q = d > 0 ? round_to_even(x / d) : 0;
  const float low = sum_of_lanes(lane < 16 ? q : 0, kWarp), all = sum_of_lanes(q, kWarp);
  QuantBlock& out = a.out[uint64_t(block_y()) * chunks + chunk];
  reinterpret_cast<int8_t*>(out.q)[lane] = int8_t(q);
  if (lane > 0) return;
  out.d = d, out.sums[0] = int16_t(low), out.sums[1] = int16_t(all - low);
}

SLUICE_DEVICE void put(uint16_t* to, float x) { *to = to_half(fminf(fmaxf(x, -65504.0f), 65504.0f)); }
SLUICE_DEVICE void put(float* to, float x) { *to = x; }

// grid: (4 columns per thread, rows)
template <class W, class Out>
SLUICE_KERNEL dequantize(const DequantizeArgs a) {
  const uint32_t at = block_x() * thread_count() + thread_index(), col = 4 * at;
  if (col >= a.cols) return;
  float values[4];
  W::values(a.weights + block_y() * a.row_bytes, col / kChunk, at % 8, a.cols, values);
  Out* const to = static_cast<Out*>(a.out) + uint64_t(block_y()) * a.cols + col;
  for (uint32_t i = 0; i < 4; i++) {
    if (col + i < a.cols) put(to + i, values[i]);
  }
}

SLUICE_KERNEL halves(const HalvesArgs a) {
  for (uint64_t i = uint64_t(block_x()) * thread_count() + thread_index(); i < a.n;
       i += uint64_t(grid_x()) * thread_count())
    put(a.out + i, a.x[i]);
}

// grid: (4 columns per thread, rows). A token that the table has not gets zeros.
template <class W>
SLUICE_KERNEL embed(const EmbedArgs a) {
  const uint32_t at = block_x() * thread_count() + thread_index(), col = 4 * at, token = a.tokens[block_y()];
  if (col >= a.cols) return;
  float values[4] = {};
  if (token < a.table_rows) W::values(a.weights + token * a.row_bytes, col / kChunk, at % 8, a.cols, values);
  for (uint32_t i = 0; i < 4; i++) {
    if (col + i < a.cols) a.out[uint64_t(block_y()) * a.cols + col + i] = values[i];
  }
}

}  // namespace sluice::cuda
