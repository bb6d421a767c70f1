// The CPU backend's module: parameters, creation, queues and the table. Operations are in the files beside it,
// kernels in isa/.
#include "backends/cpu/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

#include "backends/cpu/features.h"
#include "sluice/size.hpp"

namespace sluice::cpu {
namespace {

enum Param { kThreads, kIsa, kPrecision, kMemory, kRepack, kParamCount };

constexpr sluice_value integer(int64_t i) {
  sluice_value v{};
  v.i = i;
  return v;
}
constexpr sluice_value text(const char* s) {
  sluice_value v{};
  v.s = s;
  return v;
}

constexpr const char* kIsaNames = "auto|portable|avx2|avx512vnni|neon";

constexpr sluice_param kParams[kParamCount] = {
    {"threads", "threads that compute, the calling one included; 0: one per core", nullptr, SLUICE_INT, 0, integer(0),
     integer(0), integer(1024)},
    {"isa", "instruction set of the kernels; auto: the best this processor has", kIsaNames, SLUICE_CHOICE, 0,
     integer(0), integer(0), integer(4)},
    {"precision",
     "arithmetic of run and bench unless --precision chooses; fast: 8-bit activations in matmuls, exact: float ones",
     "fast|exact", SLUICE_CHOICE, 0, integer(0), integer(0), integer(1)},
    {"memory", "most memory for weights, buffers and caches, such as \"16GB\" or \"512MiB\"; empty: no cap", nullptr,
     SLUICE_STRING, 0, text(""), text(nullptr), text(nullptr)},
    {"repack",
     "copy weights into the form that kernels like; false: leave them in the mapped file, which saves memory and is "
     "slow",
     nullptr, SLUICE_BOOL, 0, integer(1), integer(0), integer(1)},
};

// Those this process may use, as the host's pool counts them: fewer than there are under taskset or in a container.
uint32_t available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return uint32_t(CPU_COUNT(&set));
  const unsigned n = std::thread::hardware_concurrency();
  return n ? n : 1;
}

// The number that a file of the kernel's has after `name`; `otherwise` where it has none ("max").
uint64_t kernel_number(const char* file, const char* name, uint64_t otherwise) {
  std::FILE* in = std::fopen(file, "r");
  if (!in) return otherwise;
  char line[160];
  unsigned long long number = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, in))
    found =
        std::strncmp(line, name, std::strlen(name)) == 0 && std::sscanf(line + std::strlen(name), "%llu", &number) == 1;
  std::fclose(in);
  return found ? number : otherwise;
}

// What can be had without swapping, files that the kernel would drop included; within a container what it may still
// take.
uint64_t available_memory(uint64_t free_pages) {
  uint64_t bytes = kernel_number("/proc/meminfo", "MemAvailable:", 0) * 1024;
  if (bytes == 0) bytes = free_pages;
  const uint64_t limit = kernel_number("/sys/fs/cgroup/memory.max", "", UINT64_MAX);
  const uint64_t current = kernel_number("/sys/fs/cgroup/memory.current", "", 0);
  const uint64_t used = current - std::min(current, kernel_number("/sys/fs/cgroup/memory.stat", "inactive_file ", 0));
  return std::min(bytes, limit > used ? limit - used : 0);
}

sluice_status create(const sluice_host* host, const sluice_value* params, void** self) {
  Backend* backend = new (std::nothrow) Backend;
  if (!backend) return host->fail(host, SLUICE_NO_MEMORY, "no memory for the backend itself");
  backend->host = host;
  const auto give_up = [&](sluice_status status) {
    delete backend;
    return status;
  };
  const Isa isa = Isa(params[kIsa].i);
  backend->kernels = find_kernels(isa);
  if (!backend->kernels) {
    constexpr const char* kNames[] = {"auto", "portable", "avx2", "avx512vnni", "neon"};
    return give_up(fail(*backend, SLUICE_UNSUPPORTED,
                        "isa = \"%s\": this processor (%s) does not have it; use \"auto\"", kNames[params[kIsa].i],
                        processor_features()));
  }
  backend->threads = params[kThreads].i > 0 ? uint32_t(params[kThreads].i) : available_cores();
  // kPrecision is for the host: it asks queue_create() for one or the other.
  backend->repack = params[kRepack].i != 0;
  const char* memory = params[kMemory].s ? params[kMemory].s : "";
  if (*memory && !parse_size(memory, &backend->cap)) {
    return give_up(
        fail(*backend, SLUICE_INVALID, "memory = \"%.40s\" is no size; write it like \"16GB\" or \"512MiB\"", memory));
  }
  *self = backend;
  return SLUICE_OK;
}

void destroy(void* self) {
  Backend& backend = backend_of(self);
  for (const Buffer& buffer : backend.buffers) unmap_memory(buffer.address, buffer.bytes);
  for (const ArenaChunk& chunk : backend.chunks) unmap_memory(chunk.base, chunk.bytes);
  delete &backend;
}

sluice_status device(void* self, sluice_device* device) {
  *device = {};
  std::snprintf(device->name, sizeof device->name, "%s", processor_name());
  std::snprintf(device->kernels, sizeof device->kernels, "%s", backend_of(self).kernels->name);
  const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
  device->memory_total = uint64_t(sysconf(_SC_PHYS_PAGES)) * page;
  device->memory_free = available_memory(uint64_t(sysconf(_SC_AVPHYS_PAGES)) * page);
  if (const uint64_t cap = backend_of(self).cap) device->memory_free = std::min(device->memory_free, cap);
  device->immediate = 1;
  return SLUICE_OK;
}

sluice_status queue_create(void* self, uint32_t exact, sluice_queue** queue) {
  Backend& backend = backend_of(self);
  *queue = new (std::nothrow) sluice_queue{};
  if (!*queue) return fail(backend, SLUICE_NO_MEMORY, "no memory for a queue");
  (*queue)->backend = &backend;
  (*queue)->exact = exact != 0;
  return SLUICE_OK;
}

void queue_destroy(void* self, sluice_queue* queue) {
  if (!queue) return;
  const sluice_host* host = backend_of(self).host;
  for (const Scratch* s :
       {&queue->activations, &queue->rotations, &queue->statistics, &queue->shared, &queue->workspaces}) {
    host->free(host, s->data);
  }
  host->free(host, queue->workspace_taken);
  delete queue;
}

void* queue_native(void*, sluice_queue*) { return nullptr; }
sluice_status wait(void*, sluice_queue*) { return SLUICE_OK; }

constexpr sluice_backend kTable = {
    create,         destroy,      device,       weight_type,   buffer_create, buffer_destroy, commit,   weight_create,
    weight_destroy, weight_bytes, queue_create, queue_destroy, queue_native,  wait,           write,    read,
    fill,           embed,        gather,       rmsnorm,       matmul,        rope,           silu_mul, add,
    kv_store,       attention,    attn_scores,  attn_softmax,  attn_mix,
};

constexpr sluice_module kModule = {
    SLUICE_BACKEND,
    &kTable,
    SLUICE_BACKEND_LAYOUT,
    kParamCount,
    kParams,
    "cpu",
    "x86-64 and AArch64 processors, vector kernels chosen at run time",
    SLUICE_VERSION,
    nullptr,
    nullptr,
};

constexpr const sluice_module* kModules[] = {&kModule};

constexpr sluice_plugin kPlugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, kModules, __VERSION__};

}  // namespace

sluice_status fail(const Backend& backend, sluice_status code, const char* format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return backend.host->fail(backend.host, code, message);
}

}  // namespace sluice::cpu

extern "C" SLUICE_EXPORT const sluice_plugin* sluice_plugin_entry(void) { return &sluice::cpu::kPlugin; }
