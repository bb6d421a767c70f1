/* sluice/policy.h - KV-cache policies: an evictor says which tokens stay, a codec says how the rows of
 * K and V are stored. A pipeline stacks at most one evictor and, per side, at most one codec. The core
 * owns the cache: it decides when and how many, and it alone moves bytes.
 *
 * Words used here
 *   lane  the cache of one kv head of one layer of one sequence. Under grouped-query attention the query
 *         heads of a group share it. With granularity = "layer" an evictor sees a layer's kv heads as
 *         one lane.
 *   slot  the place of one token in a lane, common to K and V. A token keeps its slot id until it is
 *         evicted; only resize() renumbers.
 *   side  K or V. Each side places its rows on its own: own dense tail, own coded blocks.
 *   row   the K or the V of one token: head_dim numbers. K is stored after RoPE, or before it where the host counts
 *         positions anew among the tokens kept; no codec is asked for such rows.
 *   span  rows of one side that lie together: dense F16 rows, or one coded block.
 *
 * Determinism: what a policy does for a sequence follows from that sequence alone. The same calls give
 * the same bytes on any thread, whatever else runs, and also after the state was copied (a fork).
 */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SLUICE_KEY = 0, SLUICE_VALUE = 1 }; /* a side */

#define SLUICE_FREE 0xFFFFFFFFu /* a slot or position that holds no token */

/* The model. All instances of a module see the same, also those that serve some layers only. */
typedef struct sluice_geometry {
  uint32_t layers, heads, kv_heads, head_dim, max_context;
} sluice_geometry;

/* Rows of one side of a lane, and whose they are. Row r belongs to slot slot_base + slots[r], or to
 * slot_base + r where slots is NULL (a run). A scattered map costs 2 bytes per row and side, so lanes
 * that lose tokens hold at most 65,536 slots; runs are not bound by that. Pointers are valid on the
 * device that reads the span. */
typedef struct sluice_span {
  const void *src;       /* F16 [rows][head_dim], or a block as encode() left it; 64-byte aligned */
  const uint16_t *slots; /* [rows] or NULL */
  uint32_t slot_base;
  uint32_t rows;
} sluice_span;

/* ---- evictor ---------------------------------------------------------------------------------- */

#define SLUICE_EVICTOR "sluice.evictor/1" /* draft */
#define SLUICE_EVICTOR_TEXT 0x9997DD24u   /* hash of the structs' text, kept honest by tests/abi_test */
#define SLUICE_EVICTOR_LAYOUT                                                           \
  (SLUICE_EVICTOR_TEXT ^ SLUICE_FOLD4(sizeof(sluice_evictor), sizeof(sluice_lanes), \
                                      sizeof(sluice_signal), sizeof(sluice_geometry)))

/* The lanes of one layer of one sequence. */
typedef struct sluice_lanes {
  uint32_t layer;
  uint32_t count;    /* lanes: kv_heads, or 1 with granularity = "layer" */
  uint32_t capacity; /* slots per lane, ids 0 .. capacity - 1 */
  uint32_t budget;   /* C: the most tokens a step attends to, its own not counted */
  uint32_t interval; /* p: after a select() a lane holds budget - interval + 1 tokens */
  uint32_t prompt;   /* 1: a state for a prompt, from the reset() or resize() that opens it to the resize() that
                        ends it; what it observes is signal(prompt = 1). 0: a state for decoding */
} sluice_lanes;

/* What an evictor wants to know of attention: a number per slot, gathered since the last observe(). For
 * one query of one query head let p be the softmax probabilities and E the live slots the query sees,
 * without those at positions below skip_first and, with skip_self, without its own. Slots outside E get
 * nothing. */
enum {
  SLUICE_NO_SIGNAL = 0, /* attention runs fused and undisturbed; observe() is not called */
  SLUICE_SUM = 1,       /* sum of p over queries and query heads (H2O) */
  SLUICE_PEAK = 2       /* maximum over queries and query heads of p / (mean of p over E); 1 is an even share (SIEVE) */
};
typedef struct sluice_signal {
  uint32_t kind;
  uint32_t skip_first; /* attention sinks: positions below this */
  uint32_t skip_self;  /* 0 or 1 */
  uint32_t window;     /* of a prompt only its last so many queries count; 0: all */
} sluice_signal;

/* All arrays are host memory, whatever the backend. `state` is one block of state_size() bytes, zeroed
 * at first and 64-byte aligned; between calls the host may move, copy or drop it, so it holds indices
 * and never pointers. [any thread; never two calls on one state at the same time]
 *
 * The life of a state: reset; for a prompt insert, observe, then select if it exceeds the budget, then
 * resize to decoding's capacity; from then on, every `interval` tokens (earlier when the budget is
 * exceeded): insert, observe, and select if the budget is exceeded. */
typedef struct sluice_evictor {
  sluice_status (*create)(const sluice_host *host, const sluice_geometry *geometry,
                          const sluice_value *params, void **self);
  void (*destroy)(void *self);
  /* What it wants to observe of a prompt (prompt = 1) and of decoded tokens (prompt = 0). */
  void (*signal)(const void *self, uint32_t prompt, sluice_signal *wanted);

  size_t (*state_size)(const void *self, const sluice_lanes *lanes);
  /* Prepares a zeroed state, or explains why parameters, budget and interval do not go together. */
  sluice_status (*reset)(const void *self, void *state, const sluice_lanes *lanes);
  /* Carries `old` into a zeroed state of another capacity (reset is not called on it). The token in slot s
   * of lane l moves to slots[l * old_lanes->capacity + s], which is SLUICE_FREE where no token lives.
   * Slot ids carry no order; positions do. */
  void (*resize)(const void *self, void *state, const sluice_lanes *lanes, const void *old,
                 const sluice_lanes *old_lanes, const uint32_t *slots);

  /* n tokens entered, oldest first: slot slots[l * n + i] of lane l holds the token at positions[i]. */
  void (*insert)(const void *self, void *state, const sluice_lanes *lanes, uint32_t n,
                 const uint32_t *slots, const uint32_t *positions);
  /* signal[l * capacity + slot], gathered over `queries` query tokens since the last call; 0 where no token
   * lives, never NaN. */
  void (*observe)(const void *self, void *state, const sluice_lanes *lanes, uint32_t queries,
                  const float *signal);
  /* Names n distinct live slots per lane, victims[l * n + i], in any order; they are dead on return. The
   * host names a victim's slot again in insert() once no stored row refers to it. */
  sluice_status (*select)(const void *self, void *state, const sluice_lanes *lanes, uint32_t n,
                          uint32_t *victims);
} sluice_evictor;

/* ---- codec ------------------------------------------------------------------------------------ */

#define SLUICE_CODEC "sluice.codec/1" /* draft */
#define SLUICE_CODEC_TEXT 0xFD3B4E9Cu
#define SLUICE_CODEC_LAYOUT                                                                         \
  (SLUICE_CODEC_TEXT ^ SLUICE_FOLD5(sizeof(sluice_codec), sizeof(sluice_block), sizeof(sluice_tile), \
                                    sizeof(sluice_account), sizeof(sluice_codec_plan)))

#define SLUICE_TILE 16u /* the most queries in a tile */

/* Rows of one side of one lane that are encoded together, once. Attention gets only the span, so whatever
 * else the layout depends on (rank, counts) stands in the block's own bytes. */
typedef struct sluice_block {
  uint32_t layer, kv_head, side;
  uint32_t rows;     /* that it holds now */
  uint64_t seed;     /* the only source of randomness for encode() */
  uint32_t prompt;   /* 1: rows of a prompt; 0: rows gathered while decoding */
  uint32_t reserved; /* 0 */
} sluice_block;

/* How a codec wants one side placed. When residual + block_rows rows have gathered in the dense tail, the
 * oldest block_rows are encoded (KIVI: K {64, 0} is a sawtooth, V {1, 64} a sliding window). The core
 * evicts before it encodes and encodes no row twice. */
typedef struct sluice_codec_plan {
  uint32_t block_rows;
  uint32_t residual; /* newest rows that stay dense */
  uint32_t max_rows; /* of one block: a prompt goes into as few blocks as this allows; a multiple of block_rows */
  uint32_t exact;    /* 1: decode(encode(x)) == x for every F16 x */
  double tolerance;  /* promised relative Frobenius error on rows drawn from N(0,1) */
} sluice_codec_plan;

/* Where a block's bytes went; the members add up to what encode() or retain() returned. Counts that `rows`
 * does not imply stand in the block's first 64 bytes, the only ones that account() may read. */
typedef struct sluice_account {
  uint64_t codes, scales, low_rank, outlier_values, outlier_indices, row_pointers, index, padding;
} sluice_account;

/* Some queries of one lane against blocks of one side. The host may cut a lane's blocks into several calls.
 * Rows of evicted tokens stay in a block until retain(): their scores are ignored, their weights are 0. */
typedef struct sluice_tile {
  uint32_t layer, kv_head;
  uint32_t queries; /* 1 .. SLUICE_TILE: query heads of a group, neighbouring tokens, or both */
  uint32_t count;   /* spans */
  const sluice_span *spans;
  size_t stride; /* floats from one query's row of scores or weights to the next query's */
  void *scratch; /* scratch() bytes, 64-byte aligned */
} sluice_tile;

/* Rows and queries are float [n][head_dim]; dst, src and scratch are 64-byte aligned. A block holds no
 * pointers and may be moved. An instance may serve one side or some layers only.
 * [any thread; never two calls writing one block at the same time] */
typedef struct sluice_codec {
  sluice_status (*create)(const sluice_host *host, const sluice_geometry *geometry,
                          const sluice_value *params, void **self);
  void (*destroy)(void *self);
  void (*plan)(const void *self, uint32_t side, sluice_codec_plan *plan);

  /* The most bytes encode() writes for `rows` rows. */
  size_t (*bound)(const void *self, uint32_t side, uint32_t rows);
  /* Bytes of scratch: for encode() of `rows` rows when queries == 0, else for dot() or accumulate() of
   * `queries` queries over blocks of at most `rows` rows. Does not grow with blocks or context. */
  size_t (*scratch)(const void *self, uint32_t side, uint32_t rows, uint32_t queries);

  /* `rows` are values that F16 can hold. Writes *bytes bytes to dst. */
  sluice_status (*encode)(const void *self, const sluice_block *block, const float *rows, void *scratch,
                          void *dst, size_t *bytes);
  /* Rows first .. first + count - 1. The host asks for at most 64 at a time. */
  sluice_status (*decode)(const void *self, const sluice_block *block, const void *src, uint32_t first,
                          uint32_t count, float *rows);
  void (*account)(const void *self, const sluice_block *block, const void *src, sluice_account *account);

  /* Drops every row but keep[0 .. n) (ascending, n < block->rows), in place and without coding again: the
   * rows that stay decode to the same floats, bit for bit. A block without rows is freed and asked nothing
   * more. NULL: no evictor may be stacked on this codec. */
  sluice_status (*retain)(const void *self, const sluice_block *block, void *src, const uint32_t *keep,
                          uint32_t n, size_t *bytes);

  /* Attention on packed rows; column(r) is the slot of row r:
   *   dot (K)         scores[i * stride + column(r)] = q[i] . K[r]; other columns stay untouched
   *   accumulate (V)  out[i] += sum over rows r of weights[i * stride + column(r)] * V[r]
   * A result has the same bits whichever queries share the tile and however the spans are cut into calls
   * made one after another: keep the order of rows, add span by span, sum nothing over a call. Both NULL:
   * the core decodes tile by tile instead. */
  sluice_status (*dot)(const void *self, const sluice_tile *tile, const float *q, float *scores);
  sluice_status (*accumulate)(const void *self, const sluice_tile *tile, const float *weights, float *out);
} sluice_codec;

/* ---- codec on a CUDA device ------------------------------------------------------------------- */

/* Optional, through sluice_module.extension: the verbs for all lanes of a layer in one launch. A codec
 * without it still runs on a CUDA backend, simulated: each row is coded and decoded once on entry, so its
 * accuracy is real and reports show neither bytes nor speed. */
#define SLUICE_CODEC_CUDA "sluice.codec.cuda/1" /* draft */
#define SLUICE_CODEC_CUDA_TEXT 0x68AB5E67u
#define SLUICE_CODEC_CUDA_LAYOUT \
  (SLUICE_CODEC_CUDA_TEXT ^ SLUICE_FOLD2(sizeof(sluice_codec_cuda), sizeof(sluice_cuda_blocks)))

/* All pointers are device pointers. What changes from step to step lies behind them; the numbers here are
 * capacities, in classes, that size a launch, so a recorded launch may be replayed while they hold. Lanes
 * are [sequences][kv_heads]; a lane without spans is padding. */
typedef struct sluice_cuda_blocks {
  uint32_t layer, side, lanes, kv_heads;
  uint32_t max_spans; /* per lane */
  uint32_t max_rows;  /* per block, at most 512 */
  uint32_t queries;   /* per lane, at most SLUICE_TILE */
  uint32_t prompt;    /* encode: as in sluice_block */
  size_t stride;      /* as in sluice_tile */
  const sluice_span *spans; /* of lane l: spans[first[l]] .. spans[first[l + 1] - 1] */
  const uint32_t *first;    /* [lanes + 1] */
  void *scratch;            /* scratch() bytes */
} sluice_cuda_blocks;

/* Work is enqueued on `stream` (a cudaStream_t); nothing allocates, nothing waits. q, weights and out are
 * float [lanes][queries][...]. encode: block b goes to spans[b].src (bound() bytes) from rows_f16[b] with
 * seeds[b]. retain: keep[b] lists the rows of block b that stay. Both write a block's new size to bytes[b].
 * Results agree with the host table within the plan's tolerance. */
typedef struct sluice_codec_cuda {
  uint32_t layout;       /* SLUICE_CODEC_CUDA_LAYOUT */
  uint32_t cuda_version; /* CUDART_VERSION at build time; its major must be the backend's */
  size_t (*scratch)(const void *self, const sluice_cuda_blocks *blocks);
  sluice_status (*encode)(const void *self, const sluice_cuda_blocks *blocks, const sluice_span *rows_f16,
                          const uint64_t *seeds, uint32_t *bytes, void *stream);
  sluice_status (*retain)(const void *self, const sluice_cuda_blocks *blocks, const sluice_span *keep,
                          uint32_t *bytes, void *stream);
  sluice_status (*dot)(const void *self, const sluice_cuda_blocks *blocks, const float *q, float *scores,
                       void *stream);
  sluice_status (*accumulate)(const void *self, const sluice_cuda_blocks *blocks, const float *weights,
                              float *out, void *stream);
} sluice_codec_cuda;

#ifdef __cplusplus
}
#endif
#endif
