// The tables of vector kernels: one per instruction set, compiled in isa/, chosen once in create(). The portable one
// is the oracle of the others. Everything above this line of the backend is plain code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/layout.h"
#include "sluice/policy.h"

namespace sluice::cpu {

// ---- matmul ---------------------------------------------------------------------------------------

// 32 activations of one row in 8 bits: x is about d * q. -128 is not used, so that 8-bit kernels cannot saturate.
struct QuantBlock {
  int8_t q[32];
  float d;
  float sum;          // d * (sum of q)
  int16_t halves[2];  // sums of q[0..15] and q[16..31]
  uint32_t reserved;
};
static_assert(sizeof(QuantBlock) == 48);

inline constexpr uint32_t kBatch = 64;  // the most batch rows in one call of a matmul kernel

// out[t][r] = sum over columns, block after block, for t < n and r < valid <= 16.
struct FastCall {
  const uint8_t* panel;
  uint32_t columns;
  const QuantBlock* x;  // [columns / 32][stride]; batch row t of column block b is x[b * stride + t]
  size_t stride;
  uint32_t n;
  float* out;  // [n][out_stride]
  size_t out_stride;
  uint32_t valid;
};
struct ExactCall {
  const uint8_t* panel;
  uint32_t columns;
  const float* x;  // [n][stride]
  size_t stride;
  uint32_t n;
  float* out;
  size_t out_stride;
  uint32_t valid;
};

struct MatmulKernels {
  void (*fast[kLayoutCount])(const FastCall&);  // NULL for float types, which run exact
  void (*exact[kLayoutCount])(const ExactCall&);
};

// ---- rows of floats -------------------------------------------------------------------------------

struct RowKernels {
  // x [columns] -> out[b * stride], b < columns / 32
  void (*quantize)(const float* x, uint32_t columns, QuantBlock* out, size_t stride);
  void (*rmsnorm)(const float* x, const float* gain, uint32_t n, float epsilon, float* out);
  void (*silu_mul)(const float* gate, const float* up, size_t n, float* out);
  void (*add)(const float* a, const float* b, size_t n, float* out);
  // Turns pairs (2i, 2i + 1) of one head by angles whose (cos, sin) pairs are given.
  void (*rotate)(float* head, const float* cos_sin, uint32_t head_dim);
  void (*to_half)(const float* x, uint32_t n, uint16_t* out);
};

// ---- attention ------------------------------------------------------------------------------------

inline constexpr uint32_t kQueryTile = 24;  // a row of K or V is converted once for so many
inline constexpr uint32_t kMaxHeadDim = 512;
inline constexpr uint32_t kSumChunk = 256;  // slots whose weights are summed before the sums are merged

inline constexpr uint32_t padded_dim(uint32_t head_dim) { return (head_dim + 7) & ~7u; }

// How a query's scores become weights: w = exp((score - top) * scale) * inverse_sum.
struct Softmax {
  float top, inverse_sum;
  float share;  // PEAK: slots in E / (sum of their weights); 0 if it feeds no signal
};

// The slots of a lane; rows whose slot is not below `slots` hold nothing.
struct LaneSlots {
  const uint32_t* pos;
  uint32_t slots;
};

struct AttentionKernels {
  // scores[i * stride + slot(r)] = q[i] . row r for the rows of a span. q is [queries][padded_dim], zero beyond
  // head_dim. Groups of 8 rows that nobody at `last_position` or before sees are left out.
  void (*scores)(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span, const LaneSlots& lane,
                 uint32_t last_position, float* scores, size_t stride);
  // The same with scores[i * stride + r]: by row, not by slot.
  void (*row_scores)(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span,
                     const LaneSlots& lane, uint32_t last_position, float* scores, size_t stride);
  // The scores [lane.slots] of one query at `position` become weights. Writes top and inverse_sum.
  void (*softmax)(const LaneSlots& lane, uint32_t position, float scale, float* scores, Softmax* result);
  // PEAK's n / (sum of weights over E); 0 where E is empty or has no weight.
  float (*share)(const LaneSlots& lane, uint32_t position, const sluice_signal& wanted, const float* weights);
  // Adds or maximises one query's weights into the signal, over slots.
  void (*signal)(const LaneSlots& lane, uint32_t position, const sluice_signal& wanted, float share,
                 const float* weights, float* signal);
  // Row scores of one query become weights, as softmax computes them; 0 for rows that it does not see.
  void (*row_weights)(const sluice_span& span, const LaneSlots& lane, uint32_t position, float scale,
                      const Softmax& softmax, float* scores);
  // part[i][padded_dim] = sum over the span's rows in order of weights[i * stride + slot(r)] * row r
  void (*mix)(const float* weights, size_t stride, uint32_t queries, uint32_t head_dim, const sluice_span& span,
              const LaneSlots& lane, float* part);
};

struct Kernels {
  const char* name;
  const MatmulKernels* matmul;
  const RowKernels* rows;
  const AttentionKernels* attention;
};

extern const Kernels kPortable;
#if defined(__x86_64__)
extern const Kernels kAvx2;
extern const Kernels kAvx512Vnni;
#endif
#if defined(__aarch64__)
extern const Kernels kNeon;
#endif

enum class Isa : int { kAuto, kPortable, kAvx2, kAvx512Vnni, kNeon };  // as the parameter's choices
// NULL if this processor lacks it. kAuto is the best there is.
const Kernels* find_kernels(Isa isa);

}  // namespace sluice::cpu
