// What the files of the CUDA backend share: the instance, queues, weights, and the operations each file implements.
// All of it is plain C++ over the table of runtime.h; kernels are in device/.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "backends/cuda/runtime.h"

namespace sluice::cuda {

// A range of address space and what of it is backed.
struct Range {
  uint8_t* address;
  uint64_t bytes;  // reserved
  uint32_t use;
  std::vector<bool> units;  // backed
};

// Weights lie one behind the other in chunks. Space is not used twice; a chunk goes when its last weight does.
struct Chunk {
  uint8_t* address;
  uint64_t used, weights;
};

struct Backend {
  const sluice_host* host = nullptr;
  const Runtime* gpu = nullptr;
  DeviceFacts facts{};
  uint64_t cap = 0;  // of `used`
  std::atomic<uint64_t> used{0};
  std::mutex mutex;  // everything below
  std::vector<Range> ranges;
  std::vector<std::pair<void*, uint64_t>> pinned;
  std::vector<Chunk> chunks;
  Stream housekeeping = nullptr;  // zeroes memory before anyone sees it
};

// Device memory that a queue uses for itself. It grows when a larger step comes than any before. What it has outgrown
// stays until the queue goes, as recorded steps may point to it.
struct Scratch {
  void* data = nullptr;
  uint64_t bytes = 0;
};

}  // namespace sluice::cuda

struct sluice_weight {
  uint32_t type;  // index into kTypes
  uint32_t rows, cols;
  uint64_t row_bytes;
  uint64_t bytes;  // allocated
  uint8_t* data;   // as in the file; one row alone: floats
};

struct sluice_queue {
  sluice::cuda::Stream stream = nullptr;
  bool exact = false;
  bool recording = false;
  sluice::cuda::Scratch activations;  // matmul: QuantBlocks, or F16 rows
  sluice::cuda::Scratch tile;         // matmul: weights as plain numbers
  sluice::cuda::Scratch workspace;    // matmul: cuBLAS's own
  sluice::cuda::Scratch parts;        // attention: shares of results
  sluice::cuda::Scratch softmax;      // attention: of every query, for signals
  std::vector<void*> outgrown;
};

namespace sluice::cuda {

inline Backend& backend_of(void* self) { return *static_cast<Backend*>(self); }

// Formats a message for host->fail().
__attribute__((format(printf, 3, 4))) sluice_status fail(const Backend& backend, sluice_status code, const char* format,
                                                         ...);
// A status for what the GPU answered, with a message that `what` opens.
sluice_status answer(const Backend& backend, Code code, const char* what);

// ---- memory.cpp -----------------------------------------------------------------------------------
sluice_status buffer_create(void* self, uint32_t use, uint64_t bytes, void** address);
void buffer_destroy(void* self, void* address);
sluice_status commit(void* self, void* address, uint64_t bytes, int32_t keep);
sluice_status write(void* self, sluice_queue* queue, void* to, const void* host, uint64_t bytes);
sluice_status read(void* self, sluice_queue* queue, const void* from, void* host, uint64_t bytes);
sluice_status fill(void* self, sluice_queue* queue, void* to, uint8_t byte, uint64_t bytes);
// At least `bytes` in `scratch`, or a status and a message that `what` opens.
sluice_status reserve(Backend& backend, sluice_queue& queue, Scratch& scratch, uint64_t bytes, const char* what);
sluice_status weight_room(Backend& backend, uint64_t bytes, uint8_t** address);
void weight_free(Backend& backend, uint8_t* address, uint64_t bytes);
void release_all(Backend& backend);

// ---- weights.cpp ----------------------------------------------------------------------------------
int32_t weight_type(void* self, uint32_t gguf_type);
sluice_status weight_create(void* self, uint32_t gguf_type, uint32_t rows, uint32_t cols, const void* data,
                            uint64_t bytes, sluice_weight** weight);
void weight_destroy(void* self, sluice_weight* weight);
uint64_t weight_bytes(void* self, const sluice_weight* weight);

// ---- matmul.cpp -----------------------------------------------------------------------------------
sluice_status matmul(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                     const sluice_mat* out);

// ---- rows.cpp -------------------------------------------------------------------------------------
sluice_status embed(void* self, sluice_queue* queue, const sluice_weight* table, const uint32_t* tokens,
                    const sluice_mat* out);
sluice_status gather(void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* rows, const sluice_mat* out);
sluice_status rmsnorm(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* gain, float epsilon,
                      const sluice_mat* out);
sluice_status rope(void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* positions,
                   const float* frequency, uint32_t head_dim);
sluice_status silu_mul(void* self, sluice_queue* queue, const sluice_mat* gate, const sluice_mat* up,
                       const sluice_mat* out);
sluice_status add(void* self, sluice_queue* queue, const sluice_mat* a, const sluice_mat* b, const sluice_mat* out);

// ---- attention.cpp --------------------------------------------------------------------------------
sluice_status kv_store(void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* k,
                       const sluice_mat* v, const uint32_t* positions, const sluice_store* places);
sluice_status attention(void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                        const uint32_t* positions, const sluice_signal* wanted, float* signal, const sluice_mat* out);
sluice_status attn_scores(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                          const sluice_mat* q, float* scores);
sluice_status attn_softmax(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                           const uint32_t* positions, float* scores, const sluice_signal* wanted, float* signal);
sluice_status attn_mix(void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                       const float* scores, const sluice_mat* out);

// ---- replay.cpp -----------------------------------------------------------------------------------
extern const sluice_backend_replay kReplay;

}  // namespace sluice::cuda
