// What the files of the CPU backend share: the instance, queues, weights, and the operations each file implements.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <type_traits>
#include <vector>

#include "backends/cpu/kernels.h"
#include "sluice/backend.h"

namespace sluice::cpu {

inline constexpr uint64_t kHugePage = 2u << 20;

// Zeroed address space aligned to huge pages; memory comes when it is touched.
void* map_memory(uint64_t bytes);
void unmap_memory(void* address, uint64_t bytes);

struct Buffer {
  void* address;
  uint64_t bytes;
  uint32_t use;
  uint64_t committed = 0;  // CACHE: what commit() backs
};

// Weights lie one behind the other in large mappings, so that they share huge pages. Space is not used twice; a
// mapping goes when its last weight does.
struct ArenaChunk {
  uint8_t* base;
  uint64_t bytes, used, weights;
};

struct Backend {
  const sluice_host* host = nullptr;
  const Kernels* kernels = nullptr;
  uint32_t threads = 1;  // the size of the host's pool, for cutting work; results do not depend on it
  bool repack = true;
  uint64_t cap = 0;  // of `used`; 0: none
  std::atomic<uint64_t> used{0};
  std::mutex mutex;  // buffers and chunks
  std::vector<Buffer> buffers;
  std::vector<ArenaChunk> chunks;
};

// Memory that operations use for themselves. It grows when a larger step comes than any before, else never.
struct Scratch {
  void* data = nullptr;
  size_t bytes = 0;
};

}  // namespace sluice::cpu

struct sluice_weight {
  uint32_t layout;  // index into kLayouts
  uint32_t rows, cols;
  uint64_t panel_bytes;  // of 16 rows
  uint64_t bytes;        // allocated
  uint8_t* panels;       // [ceil(rows / 16)] panels, or NULL
  const uint8_t* file;   // repack = false: the caller's rows, made into panels whenever they are needed; or NULL
  float* vector;         // a single row as floats [cols]: norm gains, biases
};

struct sluice_queue {
  sluice::cpu::Backend* backend;
  bool exact;
  sluice::cpu::Scratch activations;  // QuantBlocks of a matmul's input
  sluice::cpu::Scratch rotations;    // rope: see elementwise.cpp
  uint32_t rotation_rows = 0, rotation_dim = 0;
  sluice::cpu::Scratch statistics;  // attention: Softmax of every query
  sluice::cpu::Scratch shared;      // attention: scores and partial sums of jobs that share a tile
  sluice::cpu::Scratch workspaces;  // one for every thread: see OwnWorkspace
  size_t workspace_bytes = 0;
  uint32_t workspace_count = 0;
  std::atomic<uint32_t>* workspace_taken = nullptr;  // [workspace_count]
};

namespace sluice::cpu {

inline Backend& backend_of(void* self) { return *static_cast<Backend*>(self); }

// Formats a message for host->fail().
__attribute__((format(printf, 3, 4))) sluice_status fail(const Backend& backend, sluice_status code, const char* format,
                                                         ...);

// Counts bytes against the cap, or explains why they may not be had. `what` opens the message.
sluice_status take(Backend& backend, uint64_t bytes, const char* what);
inline void give_back(Backend& backend, uint64_t bytes) { backend.used.fetch_sub(bytes); }

// NULL when memory is out.
void* arena_allocate(Backend& backend, uint64_t bytes);
void arena_free(Backend& backend, void* data);

// At least `bytes`, not kept when it grows; NULL when memory is out.
void* reserve(const Backend& backend, Scratch& scratch, size_t bytes);

// Makes sure that OwnWorkspace has at least `bytes`; false when memory is out. Not while jobs run.
bool prepare_workspaces(const Backend& backend, sluice_queue& queue, size_t bytes);

// A workspace of the queue for one job. Jobs do not know their thread, so they take whichever is free.
class OwnWorkspace {
 public:
  explicit OwnWorkspace(const sluice_queue& queue) : queue_(queue) {
    while (queue_.workspace_taken[i_].exchange(1, std::memory_order_acquire) != 0) {
      i_ = (i_ + 1) % queue_.workspace_count;
    }
  }
  ~OwnWorkspace() { queue_.workspace_taken[i_].store(0, std::memory_order_release); }
  OwnWorkspace(const OwnWorkspace&) = delete;
  uint8_t* bytes() const { return static_cast<uint8_t*>(queue_.workspaces.data) + i_ * queue_.workspace_bytes; }
  float* floats() const { return reinterpret_cast<float*>(bytes()); }

 private:
  const sluice_queue& queue_;
  uint32_t i_ = 0;
};

template <class F>
void parallel(const Backend& backend, uint32_t n, F&& job) {
  if (n == 1) return job(0u);
  backend.host->parallel(
      backend.host, n, [](void* f, uint32_t i) { (*static_cast<std::remove_reference_t<F>*>(f))(i); }, &job);
}

// Runs job(first, last) over n rows, in one piece if all of it costs less than a few forks.
template <class F>
void parallel_rows(const Backend& backend, uint32_t n, uint64_t operations_per_row, F&& job) {
  constexpr uint64_t kWorthAFork = 20000;
  const uint64_t total = n * operations_per_row;
  uint32_t pieces = uint32_t(total / kWorthAFork > 4 * backend.threads ? 4 * backend.threads : total / kWorthAFork);
  if (pieces > n) pieces = n;
  if (pieces <= 1 || backend.threads == 1) return job(0u, n);
  parallel(backend, pieces,
           [&](uint32_t i) { job(uint32_t(uint64_t(n) * i / pieces), uint32_t(uint64_t(n) * (i + 1) / pieces)); });
}

// ---- memory.cpp -----------------------------------------------------------------------------------
sluice_status buffer_create(void* self, uint32_t use, uint64_t bytes, void** address);
void buffer_destroy(void* self, void* address);
sluice_status commit(void* self, void* address, uint64_t bytes, int32_t keep);
sluice_status write(void* self, sluice_queue* queue, void* to, const void* host, uint64_t bytes);
sluice_status read(void* self, sluice_queue* queue, const void* from, void* host, uint64_t bytes);
sluice_status fill(void* self, sluice_queue* queue, void* to, uint8_t byte, uint64_t bytes);

// ---- weights.cpp ----------------------------------------------------------------------------------
int32_t weight_type(void* self, uint32_t gguf_type);
sluice_status weight_create(void* self, uint32_t gguf_type, uint32_t rows, uint32_t cols, const void* data,
                            uint64_t bytes, sluice_weight** weight);
void weight_destroy(void* self, sluice_weight* weight);
uint64_t weight_bytes(void* self, const sluice_weight* weight);
// The panel in memory, or made in `workspace` (panel_bytes) from the caller's rows.
const uint8_t* weight_panel(const sluice_weight& weight, uint32_t panel, uint8_t* workspace);
// Row `row` as floats, the same bits that the file's row has.
void weight_row(const sluice_weight& weight, uint32_t row, float* out);

// ---- matmul.cpp -----------------------------------------------------------------------------------
sluice_status matmul(void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                     const sluice_mat* out);

// ---- elementwise.cpp ------------------------------------------------------------------------------
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

// ---- attention.cpp, attention_verbs.cpp -------------------------------------------------------------
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

}  // namespace sluice::cpu
