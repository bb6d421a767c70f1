// The kernels by number, and the struct of arguments that each takes: what the host side knows of them. What a grid's
// blocks mean stands at the kernels, in device/.
#pragma once

#include <cstdint>

#include "sluice/backend.h"
#include "sluice/gguf_types.h"

namespace sluice::cuda {

// ---- kernels ----------------------------------------------------------------------------------------

// The weight types; a kernel that reads weights exists once for each.
inline constexpr uint32_t kTypes[] = {SLUICE_GGUF_F32,    SLUICE_GGUF_F16,  SLUICE_GGUF_BF16, SLUICE_GGUF_Q4_0,
                                      SLUICE_GGUF_Q4_1,   SLUICE_GGUF_Q5_0, SLUICE_GGUF_Q5_1, SLUICE_GGUF_Q8_0,
                                      SLUICE_GGUF_IQ4_NL, SLUICE_GGUF_Q2_K, SLUICE_GGUF_Q3_K, SLUICE_GGUF_Q4_K,
                                      SLUICE_GGUF_Q5_K,   SLUICE_GGUF_Q6_K};
inline constexpr uint32_t kTypeCount = sizeof kTypes / sizeof kTypes[0];
constexpr uint32_t type_index(uint32_t gguf_type) {  // kTypeCount if there is none
  uint32_t i = 0;
  while (i < kTypeCount && kTypes[i] != gguf_type) i++;
  return i;
}

enum class Kernel : uint32_t {
  kQuantize,
  kHalves,
  kRmsnorm,
  kSiluMul,
  kAdd,
  kGather,
  kRope,
  kStore,
  kAttend,
  kMerge,
  kGatherSignal,
  kScoreRows,
  kSoften,
  kGatherWeights,
  kMixRows,
  kTyped,  // from here on: kTypeCount kernels of each kind
  kCount = kTyped + 5 * kTypeCount
};
enum class Typed : uint32_t { kExactProduct, kFastProduct, kToHalves, kToFloats, kEmbed };
constexpr Kernel typed(Typed kind, uint32_t type) {
  return Kernel(uint32_t(Kernel::kTyped) + uint32_t(kind) * kTypeCount + type);
}

// ---- products and rows --------------------------------------------------------------------------------

inline constexpr uint32_t kWarp = 32;
inline constexpr uint32_t kChunk = 32;  // columns
inline constexpr uint32_t kProductThreads = 128;
inline constexpr uint32_t kBatchTile = 4;  // rows of activations that share what is read of the weights
inline constexpr uint32_t kRowThreads = 256;

// 32 activations of one row in 8 bits: x is about d * q.
struct QuantBlock {
  uint32_t q[8];  // 4 bytes each, -127 .. 127
  float d;
  int16_t sums[2];  // of q[0 .. 15] and q[16 .. 31] as bytes
};
static_assert(sizeof(QuantBlock) == 40);

struct ProductArgs {
  const uint8_t* weights;
  uint64_t row_bytes;
  uint32_t rows, cols;   // of the weights
  const float* x;        // [batch][cols], for exact products
  const QuantBlock* xq;  // [batch][ceil(cols / 32)], for fast ones
  uint32_t batch;
  float* out;  // [batch][rows]
};

struct QuantizeArgs {
  const float* x;  // [rows][cols]
  uint32_t rows, cols;
  QuantBlock* out;  // [rows][cols / 32]
};

struct DequantizeArgs {
  const uint8_t* weights;  // its first row
  uint64_t row_bytes;
  uint32_t rows, cols;
  void* out;  // uint16_t (F16) or float [rows][cols]
};

struct HalvesArgs {
  const float* x;
  uint64_t n;
  uint16_t* out;
};

struct EmbedArgs {
  const uint8_t* weights;
  uint64_t row_bytes;
  uint32_t table_rows, cols;
  const uint32_t* tokens;  // [grid_y]
  float* out;
};

struct NormArgs {
  const float* x;  // [rows][cols]
  const float* gain;
  float* out;
  uint32_t cols;
  float epsilon;
};

struct PairArgs {
  const float *a, *b;
  float* out;
  uint64_t n;
  uint64_t period;  // of b: a bias has one row
};

struct GatherArgs {
  const float* x;
  uint32_t x_rows, cols;
  const uint32_t* rows;  // [grid_x]
  float* out;
};

struct RopeArgs {
  float* x;  // [grid_x][cols]
  uint32_t cols, head_dim;
  const uint32_t* positions;
  const float* frequency;  // [head_dim / 2]
};

// ---- attention --------------------------------------------------------------------------------------

inline constexpr uint32_t kAttentionThreads = 128;
inline constexpr uint32_t kMostTile = 16;  // queries

// How a launch cuts a lane: queries of a tile, rows of a chunk. Both are chosen so that shared memory suffices.
struct Cut {
  uint32_t tile, chunk;
};

// Rows lie in shared memory one word further apart than they need, so that threads that read the same column of
// neighbouring rows do not wait for each other.
constexpr uint32_t row_words(uint32_t head_dim) { return (head_dim + 1) / 2 | 1; }

// How a query's scores become weights, w = exp(score - top) / sum, and PEAK's n / (sum of weights that count).
struct Softmax {
  float top, inverse_sum, share;
};

// Of a query over some of its lane's rows: as above, not yet divided; then out[head_dim].
inline constexpr uint32_t kPartHead = 4;  // floats: top, sum, sum that counts, number that counts

struct AttendArgs {
  sluice_group group;
  const float* q;  // [rows][heads * head_dim]
  const uint32_t* positions;
  sluice_signal wanted;
  Cut cut;
  uint32_t tiles;         // of a lane
  uint32_t segments;      // of a lane that a share has
  float* parts;           // [shares][rows][heads][kPartHead + head_dim]
  uint64_t share_floats;  // from one share to the next
};

constexpr uint32_t attend_shared(const Cut& cut, uint32_t head_dim) {
  return 4 *
         (2 * cut.tile * head_dim + cut.chunk * row_words(head_dim) + cut.tile * cut.chunk + cut.chunk + cut.tile * 6);
}

struct MergeArgs {
  sluice_group group;
  uint32_t shares;
  const float* parts;
  uint64_t share_floats;
  float* out;        // [rows][heads * head_dim]
  Softmax* softmax;  // [rows][heads] or NULL
};

struct SignalArgs {
  sluice_group group;
  const float* q;
  const uint32_t* positions;
  sluice_signal wanted;
  Cut cut;
  const Softmax* softmax;  // [rows][heads]
  float* signal;           // as slot_pos
};

constexpr uint32_t signal_shared(const Cut& cut, uint32_t head_dim) {
  return 4 * (cut.tile * head_dim + cut.chunk * row_words(head_dim) + cut.tile * cut.chunk + 2 * cut.chunk + cut.tile);
}

struct StoreArgs {
  sluice_group group;
  const float *k, *v;  // [rows][kv_heads * head_dim]
  const uint32_t* positions;
  const sluice_store* places;  // [rows][kv_heads]
};

struct VerbArgs {
  sluice_group group;
  uint32_t first;  // lane of block 0
  uint32_t tiles;  // of a lane
  Cut cut;
  const float* q;
  const uint32_t* positions;
  float* scores;
  float* out;
  sluice_signal wanted;
  float* shares;  // [lanes of the group][queries of a lane, at most]: PEAK's n / (sum of weights that count)
  float* signal;
};

constexpr uint32_t verb_shared(const Cut& cut, uint32_t head_dim) {
  return 4 * (cut.tile * head_dim + cut.chunk * row_words(head_dim) + cut.tile * cut.chunk);
}

}  // namespace sluice::cuda
