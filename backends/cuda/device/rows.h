// Operations that take activations row by row or number by number.
#pragma once

#include "backends/cuda/device/device.h"

namespace sluice::cuda {

// grid: rows. In place where out is x.
SLUICE_KERNEL rmsnorm(const NormArgs a) {
  const uint64_t row = uint64_t(block_x()) * a.cols;
  float squares = 0;
  for (uint32_t c = thread_index(); c < a.cols; c += thread_count()) squares += a.x[row + c] * a.x[row + c];
  squares = sum_of_block(squares, reinterpret_cast<float*>(shared_memory()));
  const float scale = 1 / sqrtf(squares / float(a.cols) + a.epsilon);
  for (uint32_t c = thread_index(); c < a.cols; c += thread_count()) a.out[row + c] = a.x[row + c] * scale * a.gain[c];
}

SLUICE_KERNEL silu_mul(const PairArgs a) {
  for (uint64_t i = uint64_t(block_x()) * thread_count() + thread_index(); i < a.n;
       i += uint64_t(grid_x()) * thread_count())
    a.out[i] = a.a[i] / (1 + expf(-a.a[i])) * a.b[i];
}
SLUICE_KERNEL add(const PairArgs a) {
  for (uint64_t i = uint64_t(block_x()) * thread_count() + thread_index(); i < a.n;
       i += uint64_t(grid_x()) * thread_count())
    a.out[i] = a.a[i] + a.b[i % a.period];
}

// A row that is not there gets zeros.
SLUICE_KERNEL gather(const GatherArgs a) {
  const uint32_t from = a.rows[block_x()];
  for (uint32_t c = thread_index(); c < a.cols; c += thread_count())
    a.out[uint64_t(block_x()) * a.cols + c] = from < a.x_rows ? a.x[uint64_t(from) * a.cols + c] : 0;
}

// grid: rows. A thread turns one pair of every head: the angle, a product in double, is the same for all.
SLUICE_KERNEL rope(const RopeArgs a) {
  float* const row = a.x + uint64_t(block_x()) * a.cols;
  for (uint32_t i = thread_index(); i < a.head_dim / 2; i += thread_count()) {
    const double angle = double(a.positions[block_x()]) * double(a.frequency[i]);
    const float c = float(cos(angle)), s = float(sin(angle));
    for (uint32_t at = 2 * i; at < a.cols; at += a.head_dim) {
      const float even = row[at], odd = row[at + 1];
      row[at] = even * c - odd * s, row[at + 1] = even * s + odd * c;
    }
  }
}

}  // namespace sluice::cuda
