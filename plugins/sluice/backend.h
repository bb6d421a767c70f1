/* sluice/backend.h - what a model backend is: memory, weights, queues, and the few operations a Llama block
 * is made of. The graph exists once, in core/model/llama.cpp, and makes the same calls on every backend. A
 * backend knows neither codecs nor evictors.
 *
 * Rows. A step is a batch of rows, each a token of some sequence. Dense operations take the whole batch;
 * attention is called once per *group*, sequences of which it is asked the same: dense or coded rows, one signal.
 *
 * Replay. Operations are enqueued. Arguments (sizes, addresses) are copied when the call is made; what they
 * point to is read when the operation runs. Whatever changes from step to step lies in buffers, so that a
 * recorded step can be run again.
 *
 * Determinism. A row's result depends on that row and its sequence, bit for bit: not on the batch, the
 * number of threads, the tile, or where the sequence was forked. Every reduction has one order: over
 * columns as the operation likes but always alike; over a lane's dense rows segment by segment; over slots
 * in chunks of 256; partial results are merged in order; signals are added query by query, oldest first,
 * query heads in order. Something of weight 0 changes nothing and may be skipped. A device that is
 * `immediate` promises this for one instruction set; others keep within tolerance and repeat themselves.
 */
#ifndef SLUICE_BACKEND_H
#define SLUICE_BACKEND_H

#include "policy.h" /* sluice_span, sluice_signal */

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_BACKEND "sluice.backend/1" /* draft */
#define SLUICE_BACKEND_TEXT 0x30CF8FDEu
#define SLUICE_BACKEND_LAYOUT                                                           \
  (SLUICE_BACKEND_TEXT ^ SLUICE_FOLD4(sizeof(sluice_backend), sizeof(sluice_group), \
                                      sizeof(sluice_lane), sizeof(sluice_device)))

typedef struct sluice_weight sluice_weight; /* a matrix or vector in the form the backend likes best */
typedef struct sluice_queue sluice_queue;   /* operations in order: a CUDA stream, or nothing at all */

typedef struct sluice_device {
  char name[64];
  char kernels[64]; /* the kernel path in use, for reports: "avx2", "sm_86" */
  uint64_t memory_total, memory_free;
  uint32_t immediate;    /* 1: memory is the host's and an operation has run when its call returns */
  uint32_t cuda_version; /* 0: not a CUDA device */
} sluice_device;

/* Activations: float [rows][cols] on the device. Rows that no sequence owns are computed and never read. */
typedef struct sluice_mat {
  float *data;
  uint32_t rows, cols;
} sluice_mat;

/* ---- a group's caches in one layer; the tables are in device memory ---------------------------- */

/* The rows of one sequence in the batch. */
typedef struct sluice_part {
  uint32_t first, count; /* 1 row when decoding, a prompt's many, 0: padding */
  uint32_t signal_from;  /* rows of the batch from this one on feed the signal; first + count: none do */
  uint32_t reserved;     /* 0 */
} sluice_part;

/* One kv head of one sequence. A side's dense rows lie in segments: dense row r is row r % segment_rows of
 * segment r / segment_rows. Segments have segment_rows rows, but the last of a side may have fewer. Lanes
 * differ in length, K and V in placement; forks may share segments. */
typedef struct sluice_lane {
  uint32_t k_first, k_count; /* K segments: spans[k_first] .. spans[k_first + k_count - 1] */
  uint32_t v_first, v_count;
  uint32_t slots;   /* ids 0 .. slots - 1 may hold a token; at most max_slots */
  uint32_t slot_at; /* of slot s: slot_pos[slot_at + s], signal[slot_at + s] */
} sluice_lane;

/* A query at position t sees slot s iff slot_pos[s] <= t; SLUICE_FREE is never seen. Causality, eviction,
 * unwritten rows and padding are all this one rule. The bytes behind unseen rows are finite numbers. */
typedef struct sluice_group {
  uint32_t sequences, heads, kv_heads, head_dim;
  uint32_t max_count;    /* of a part */
  uint32_t max_slots;    /* of a lane; a row of scores is this long */
  uint32_t segment_rows; /* 256 */
  float scale;           /* 1 / sqrt(head_dim) */
  const sluice_part *parts; /* [sequences] */
  const sluice_lane *lanes; /* [sequences][kv_heads] */
  const sluice_span *spans; /* dense segments of all lanes */
  uint32_t *slot_pos;
} sluice_group;

/* Where kv_store puts a row: dense row numbers of the lane's two sides, and its slot. */
typedef struct sluice_store {
  uint32_t k_row, v_row, slot;
} sluice_store;

/* ---- the table ---------------------------------------------------------------------------------- */

/* CACHE buffers reserve address space that commit() backs and gives back. STAGING is host memory that the
 * device reads fast. A buffer never moves. */
enum { SLUICE_USE_WEIGHTS = 0, SLUICE_USE_ACTIVATIONS = 1, SLUICE_USE_CACHE = 2, SLUICE_USE_STAGING = 3 };

/* [create .. queue_destroy: one thread at a time. commit: any thread, on disjoint ranges. Operations: one
 * thread per queue.] */
typedef struct sluice_backend {
  sluice_status (*create)(const sluice_host *host, const sluice_value *params, void **self);
  void (*destroy)(void *self);
  sluice_status (*device)(void *self, sluice_device *device);
  /* 1 if tensors of this GGUF type can be uploaded and multiplied. */
  int32_t (*weight_type)(void *self, uint32_t gguf_type);

  /* Zeroed, aligned to 2 MiB (STAGING: to 64). */
  sluice_status (*buffer_create)(void *self, uint32_t use, uint64_t bytes, void **address);
  void (*buffer_destroy)(void *self, void *address);
  /* keep = 1 backs a range of a CACHE buffer with zeroed memory, 0 gives it back (page multiples). */
  sluice_status (*commit)(void *self, void *address, uint64_t bytes, int32_t keep);
  /* data: `rows` rows of `cols` numbers in GGUF's on-disk form. The backend copies or repacks, and the caller may
   * drop data on return; or it works in place, says so by weight_bytes() == 0, and data stays until
   * weight_destroy(). */
  sluice_status (*weight_create)(void *self, uint32_t gguf_type, uint32_t rows, uint32_t cols,
                                 const void *data, uint64_t bytes, sluice_weight **weight);
  void (*weight_destroy)(void *self, sluice_weight *weight);
  /* Bytes the weight occupies on the device; 0 if it is read where it was given. */
  uint64_t (*weight_bytes)(void *self, const sluice_weight *weight);

  /* exact = 1: matmul keeps activations in float; 0: the backend may quantize them. */
  sluice_status (*queue_create)(void *self, uint32_t exact, sluice_queue **queue);
  void (*queue_destroy)(void *self, sluice_queue *queue);
  void *(*queue_native)(void *self, sluice_queue *queue); /* a cudaStream_t for device codecs, or NULL */
  sluice_status (*wait)(void *self, sluice_queue *queue); /* until all enqueued work is done; its error if any */

  /* `host` is STAGING memory, or any host memory if the caller waits before touching it. write() also copies from
   * memory of the device. */
  sluice_status (*write)(void *self, sluice_queue *queue, void *to, const void *host, uint64_t bytes);
  sluice_status (*read)(void *self, sluice_queue *queue, const void *from, void *host, uint64_t bytes);
  sluice_status (*fill)(void *self, sluice_queue *queue, void *to, uint8_t byte, uint64_t bytes);

  /* Dense operations, row by row; out may be x (or a) unless it says otherwise. */
  sluice_status (*embed)(void *self, sluice_queue *queue, const sluice_weight *table, const uint32_t *tokens,
                         const sluice_mat *out); /* out[t] = table[tokens[t]] */
  sluice_status (*gather)(void *self, sluice_queue *queue, const sluice_mat *x, const uint32_t *rows,
                          const sluice_mat *out); /* out[t] = x[rows[t]]; not in place */
  sluice_status (*rmsnorm)(void *self, sluice_queue *queue, const sluice_mat *x, const sluice_weight *gain,
                           float epsilon, const sluice_mat *out);
  sluice_status (*matmul)(void *self, sluice_queue *queue, const sluice_mat *x, const sluice_weight *w,
                          const sluice_mat *out); /* out[t] = w x[t]; not in place */
  /* Turns the pairs (2i, 2i + 1) of every head by positions[t] * frequency[i], float [head_dim / 2]. */
  sluice_status (*rope)(void *self, sluice_queue *queue, const sluice_mat *x, const uint32_t *positions,
                        const float *frequency, uint32_t head_dim);
  sluice_status (*silu_mul)(void *self, sluice_queue *queue, const sluice_mat *gate, const sluice_mat *up,
                            const sluice_mat *out); /* out = silu(gate) * up */
  sluice_status (*add)(void *self, sluice_queue *queue, const sluice_mat *a, const sluice_mat *b,
                       const sluice_mat *out); /* b may have one row, added to all (a bias) */

  /* Rows of k and v, float [rows][kv_heads * head_dim], are rounded to F16 and stored at
   * places[row][kv_head]; slot_pos of that slot becomes positions[row]. */
  sluice_status (*kv_store)(void *self, sluice_queue *queue, const sluice_group *group, const sluice_mat *k,
                            const sluice_mat *v, const uint32_t *positions, const sluice_store *places);
  /* Fused, for lanes that are dense throughout and whose K and V rows r share a slot. q and out are
   * [rows][heads * head_dim]. signal (float, indexed as slot_pos) is added to or maximised as policy.h says;
   * NULL wanted or signal: none. */
  sluice_status (*attention)(void *self, sluice_queue *queue, const sluice_group *group, const sluice_mat *q,
                             const uint32_t *positions, const sluice_signal *wanted, float *signal,
                             const sluice_mat *out);

  /* The same in three verbs, between which codecs join in:
   *   attn_scores -> codec dot -> attn_softmax -> codec accumulate -> attn_mix
   * for lanes first .. first + lanes - 1 of the group. scores is float
   * [lanes of the group][max_count * heads / kv_heads][max_slots]; a token's query heads are neighbours.
   * attn_scores writes the columns of dense rows (raw q.k); attn_softmax scales, masks and normalises all
   * columns below a lane's `slots` (0 where unseen); attn_mix adds the dense rows' share to out. On an
   * immediate device the three may be called by several threads for different lanes. */
  sluice_status (*attn_scores)(void *self, sluice_queue *queue, const sluice_group *group, uint32_t first,
                               uint32_t lanes, const sluice_mat *q, float *scores);
  sluice_status (*attn_softmax)(void *self, sluice_queue *queue, const sluice_group *group, uint32_t first,
                                uint32_t lanes, const uint32_t *positions, float *scores,
                                const sluice_signal *wanted, float *signal);
  sluice_status (*attn_mix)(void *self, sluice_queue *queue, const sluice_group *group, uint32_t first,
                            uint32_t lanes, const float *scores, const sluice_mat *out);
} sluice_backend;

/* ---- optional: record a step and run it again ---------------------------------------------------- */

/* Steps are to be keyed by (set of policies, bucket of rows, capacity classes); between two runs of one recording
 * only bytes behind addresses change. The core of this version does not record. */
#define SLUICE_BACKEND_REPLAY "sluice.backend.replay/1" /* draft */
#define SLUICE_BACKEND_REPLAY_TEXT 0x5EAFD587u
#define SLUICE_BACKEND_REPLAY_LAYOUT (SLUICE_BACKEND_REPLAY_TEXT ^ (uint32_t)sizeof(sluice_backend_replay))
typedef struct sluice_backend_replay {
  uint32_t layout; /* SLUICE_BACKEND_REPLAY_LAYOUT */
  uint32_t reserved;
  sluice_status (*begin)(void *self, sluice_queue *queue); /* from here operations are recorded, not run */
  sluice_status (*end)(void *self, sluice_queue *queue, void **step);
  sluice_status (*run)(void *self, sluice_queue *queue, void *step); /* enqueues all of it */
  void (*destroy)(void *self, void *step);
} sluice_backend_replay;

/* ---- optional: why the backend cannot be used on this machine ------------------------------------ */

/* For backends that load where their device is missing. Hosts ask it when they list modules. */
#define SLUICE_BACKEND_PRESENCE "sluice.backend.presence/1" /* draft */
#define SLUICE_BACKEND_PRESENCE_TEXT 0x9475D598u
#define SLUICE_BACKEND_PRESENCE_LAYOUT (SLUICE_BACKEND_PRESENCE_TEXT ^ (uint32_t)sizeof(sluice_backend_presence))
typedef struct sluice_backend_presence {
  uint32_t layout; /* SLUICE_BACKEND_PRESENCE_LAYOUT */
  uint32_t reserved;
  /* NULL where create() would find a device with its defaults; else a sentence that names the cause and the remedy,
   * valid until this thread asks again. Does not wake the device. [any thread] */
  const char *(*unavailable)(void);
} sluice_backend_presence;

#ifdef __cplusplus
}
#endif
#endif
