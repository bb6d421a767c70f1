// The CUDA backend's module: parameters, creation, queues and the table. Operations are in the files beside it, kernels
// in device/, and what talks to the driver in runtime.cpp.
#include "backends/cuda/cuda.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "sluice/size.hpp"

namespace sluice::cuda {
namespace {

enum Param { kDevice, kPrecision, kMemory, kParamCount };

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

constexpr sluice_param kParams[kParamCount] = {
    {"device", "which GPU, in the driver's order", nullptr, SLUICE_INT, 0, integer(0), integer(0), integer(63)},
    {"precision",
     "arithmetic of run and bench unless --precision chooses; fast: 8-bit activations in products with few rows, F16 "
     "on "
     "tensor cores in those with many, exact: float ones",
     "fast|exact", SLUICE_CHOICE, 0, integer(0), integer(0), integer(1)},
    {"memory",
     "most device memory for weights, buffers and caches, such as \"16GB\" or \"512MiB\"; empty: all that is free",
     nullptr, SLUICE_STRING, 0, text(""), text(nullptr), text(nullptr)},
};

constexpr uint64_t kLeftFree = 256u << 20;  // for the driver, where no cap is given

sluice_status create(const sluice_host* host, const sluice_value* params, void** self) {
  Backend* backend = new (std::nothrow) Backend;
  if (!backend) return host->fail(host, SLUICE_NO_MEMORY, "no memory for the backend itself");
  backend->host = host, backend->gpu = &runtime();
  const auto give_up = [&](sluice_status status) {
    delete backend;
    return status;
  };
  const uint32_t device = uint32_t(params[kDevice].i);
  const char* memory = params[kMemory].s ? params[kMemory].s : "";
  if (*memory && !parse_size(memory, &backend->cap)) {
    return give_up(
        fail(*backend, SLUICE_INVALID, "memory = \"%.40s\" is no size; write it like \"16GB\" or \"512MiB\"", memory));
  }
  if (const char* reason = backend->gpu->unavailable(device)) {
    return give_up(fail(*backend, SLUICE_UNSUPPORTED, "%s", reason));
  }
  Code code = backend->gpu->open(device, &backend->facts);
  if (code == kFine) code = backend->gpu->stream_create(&backend->housekeeping);
  if (code != kFine) return give_up(answer(*backend, code, "the device cannot be used"));
  const uint64_t free = backend->facts.memory_free;
  if (!*memory) backend->cap = free > kLeftFree ? free - kLeftFree : free;
  *self = backend;
  return SLUICE_OK;
}

void destroy(void* self) {
  Backend& backend = backend_of(self);
  release_all(backend);
  backend.gpu->stream_destroy(backend.housekeeping);
  delete &backend;
}

// Under a cap, a device of that size.
sluice_status device(void* self, sluice_device* device) {
  const Backend& backend = backend_of(self);
  DeviceFacts facts{};
  if (const Code code = backend.gpu->facts(&facts)) return answer(backend, code, "device");
  *device = {};
  std::memcpy(device->name, facts.name, sizeof device->name);
  std::memcpy(device->kernels, facts.architecture, sizeof facts.architecture);
  const uint64_t used = backend.used.load();
  device->memory_total = backend.cap;
  device->memory_free = used < backend.cap ? backend.cap - used : 0;
  device->immediate = 0;
  device->cuda_version = facts.cuda_version;
  return SLUICE_OK;
}

sluice_status queue_create(void* self, uint32_t exact, sluice_queue** queue) {
  Backend& backend = backend_of(self);
  auto* const made = new (std::nothrow) sluice_queue{};
  if (!made) return fail(backend, SLUICE_NO_MEMORY, "no memory for a queue");
  made->exact = exact != 0;
  if (const Code code = backend.gpu->stream_create(&made->stream)) {
    delete made;
    return answer(backend, code, "a queue");
  }
  *queue = made;
  return SLUICE_OK;
}

void queue_destroy(void* self, sluice_queue* queue) {
  if (!queue) return;
  Backend& backend = backend_of(self);
  backend.gpu->wait(queue->stream);
  for (const Scratch* s : {&queue->activations, &queue->tile, &queue->workspace, &queue->parts, &queue->softmax}) {
    if (s->data) buffer_destroy(self, s->data);
  }
  for (void* old : queue->outgrown) buffer_destroy(self, old);
  backend.gpu->stream_destroy(queue->stream);
  delete queue;
}

void* queue_native(void* self, sluice_queue* queue) { return backend_of(self).gpu->native(queue->stream); }

sluice_status wait(void* self, sluice_queue* queue) {
  const Backend& backend = backend_of(self);
  return answer(backend, backend.gpu->wait(queue->stream), "the device failed");
}

constexpr sluice_backend kTable = {
    create,         destroy,      device,       weight_type,   buffer_create, buffer_destroy, commit,   weight_create,
    weight_destroy, weight_bytes, queue_create, queue_destroy, queue_native,  wait,           write,    read,
    fill,           embed,        gather,       rmsnorm,       matmul,        rope,           silu_mul, add,
    kv_store,       attention,    attn_scores,  attn_softmax,  attn_mix,
};

// Without a device the module is listed with the reason.
const char* unavailable() { return runtime().unavailable(0); }
constexpr sluice_backend_presence kPresence = {SLUICE_BACKEND_PRESENCE_LAYOUT, 0, unavailable};

const void* extension(const char* id) {
  if (std::strcmp(id, SLUICE_BACKEND_REPLAY) == 0) return &kReplay;
  if (std::strcmp(id, SLUICE_BACKEND_PRESENCE) == 0) return &kPresence;
  return nullptr;
}

constexpr sluice_module kModule = {
    SLUICE_BACKEND,
    &kTable,
    SLUICE_BACKEND_LAYOUT,
    kParamCount,
    kParams,
    "cuda",
    "NVIDIA GPUs, from compute capability 7.5 on",
    SLUICE_VERSION,
    nullptr,
    extension,
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

sluice_status answer(const Backend& backend, Code code, const char* what) {
  if (code == kFine) return SLUICE_OK;
  if (code == kOutOfMemory) {
    return fail(backend, SLUICE_NO_MEMORY, "%s: the device is out of memory; use a smaller batch, context or model",
                what);
  }
  return fail(backend, SLUICE_DEVICE, "%s: %s; nothing more runs on this device until the program starts again", what,
              backend.gpu->words(code));
}

}  // namespace sluice::cuda

extern "C" SLUICE_EXPORT const sluice_plugin* sluice_plugin_entry(void) { return &sluice::cuda::kPlugin; }
