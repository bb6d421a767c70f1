// The table of runtime.h from CUDA: the driver's memory, streams and graphs, the kernels as a module that is loaded
// with the device, and cuBLAS. Driver and cuBLAS are looked for when they are first needed, so that the plugin loads,
// does nothing while it loads, and says what is missing on machines that have neither.
#include "backends/cuda/runtime.h"

#include <cublas_v2.h>
#include <cuda.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <new>

#include "backends/cuda/kernel_names.h"

// kernels.cu as nvcc left it, for all architectures of the build (fatbin.cpp).
extern "C" const unsigned char sluice_cuda_fatbin[];

namespace sluice::cuda {
namespace {

constexpr Code kNoCublas = 100000;  // beyond the driver's own codes; cuBLAS's follow
constexpr Code kCublas = 100001;
constexpr uint64_t kAlignment = 2u << 20;

static_assert(kOutOfMemory == Code(CUDA_ERROR_OUT_OF_MEMORY));

// ---- libraries --------------------------------------------------------------------------------------

template <class F>
bool find(void* library, const char* name, F*& function) {
  function = reinterpret_cast<F*>(dlsym(library, name));
  return function != nullptr;
}

struct Driver {
  decltype(cuInit)* init = nullptr;
  decltype(cuDriverGetVersion)* version = nullptr;
  decltype(cuGetErrorString)* words = nullptr;
  decltype(cuDeviceGetCount)* count = nullptr;
  decltype(cuDeviceGet)* device = nullptr;
  decltype(cuDeviceGetName)* name = nullptr;
  decltype(cuDeviceGetAttribute)* attribute = nullptr;
  decltype(cuDevicePrimaryCtxRetain)* retain = nullptr;
  decltype(cuCtxSetCurrent)* set_context = nullptr;
  decltype(cuCtxSynchronize)* synchronize = nullptr;
  decltype(cuModuleLoadData)* load = nullptr;
  decltype(cuModuleGetFunction)* function = nullptr;
  decltype(cuLaunchKernel)* launch = nullptr;
  decltype(cuMemGetInfo)* memory = nullptr;
  decltype(cuMemAddressReserve)* reserve = nullptr;
  decltype(cuMemAddressFree)* unreserve = nullptr;
  decltype(cuMemCreate)* create = nullptr;
  decltype(cuMemRelease)* release = nullptr;
  decltype(cuMemMap)* map = nullptr;
  decltype(cuMemUnmap)* unmap = nullptr;
  decltype(cuMemSetAccess)* set_access = nullptr;
  decltype(cuMemGetAllocationGranularity)* granularity = nullptr;
  decltype(cuMemHostAlloc)* pin = nullptr;
  decltype(cuMemFreeHost)* unpin = nullptr;
  decltype(cuMemcpyAsync)* copy = nullptr;
  decltype(cuMemsetD8Async)* fill = nullptr;
  decltype(cuStreamCreate)* stream_create = nullptr;
  decltype(cuStreamDestroy)* stream_destroy = nullptr;
  decltype(cuStreamSynchronize)* wait = nullptr;
  decltype(cuStreamBeginCapture)* record = nullptr;
  decltype(cuStreamEndCapture)* recorded = nullptr;
  decltype(cuGraphInstantiateWithFlags)* instantiate = nullptr;
  decltype(cuGraphDestroy)* graph_destroy = nullptr;
  decltype(cuGraphLaunch)* replay = nullptr;
  decltype(cuGraphExecDestroy)* forget = nullptr;
  bool whole = false, there = false;
};
// Functions of a second version are asked for by it: the header's plain names are macros for them.
const Driver& driver() {
  static const Driver found = [] {
    Driver d;
    void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    d.there = library && find(library, "cuInit", d.init) && find(library, "cuDriverGetVersion", d.version) &&
              find(library, "cuGetErrorString", d.words) && find(library, "cuDeviceGetCount", d.count) &&
              find(library, "cuDeviceGet", d.device) && find(library, "cuDeviceGetAttribute", d.attribute);
    d.whole = d.there && find(library, "cuDeviceGetName", d.name) &&
              find(library, "cuDevicePrimaryCtxRetain", d.retain) && find(library, "cuCtxSetCurrent", d.set_context) &&
              find(library, "cuCtxSynchronize", d.synchronize) && find(library, "cuModuleLoadData", d.load) &&
              find(library, "cuModuleGetFunction", d.function) && find(library, "cuLaunchKernel", d.launch) &&
              find(library, "cuMemGetInfo_v2", d.memory) && find(library, "cuMemAddressReserve", d.reserve) &&
              find(library, "cuMemAddressFree", d.unreserve) && find(library, "cuMemCreate", d.create) &&
              find(library, "cuMemRelease", d.release) && find(library, "cuMemMap", d.map) &&
              find(library, "cuMemUnmap", d.unmap) && find(library, "cuMemSetAccess", d.set_access) &&
              find(library, "cuMemGetAllocationGranularity", d.granularity) && find(library, "cuMemHostAlloc", d.pin) &&
              find(library, "cuMemFreeHost", d.unpin) && find(library, "cuMemcpyAsync", d.copy) &&
              find(library, "cuMemsetD8Async", d.fill) && find(library, "cuStreamCreate", d.stream_create) &&
              find(library, "cuStreamDestroy_v2", d.stream_destroy) && find(library, "cuStreamSynchronize", d.wait) &&
              find(library, "cuStreamBeginCapture_v2", d.record) && find(library, "cuStreamEndCapture", d.recorded) &&
              find(library, "cuGraphInstantiateWithFlags", d.instantiate) &&
              find(library, "cuGraphDestroy", d.graph_destroy) && find(library, "cuGraphLaunch", d.replay) &&
              find(library, "cuGraphExecDestroy", d.forget);
    return d;
  }();
  return found;
}

// The header has a second function of this name for C++.
using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                              const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                              cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);
struct Cublas {
  decltype(cublasCreate_v2)* create = nullptr;
  decltype(cublasDestroy_v2)* destroy = nullptr;
  decltype(cublasSetStream_v2)* set_stream = nullptr;
  decltype(cublasSetWorkspace_v2)* set_workspace = nullptr;
  GemmEx* gemm = nullptr;
  bool whole = false;
};
const Cublas& cublas() {
  static const Cublas found = [] {
    Cublas c;
    char name[32];
    std::snprintf(name, sizeof name, "libcublas.so.%d", CUBLAS_VER_MAJOR);
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);  // also looks where this plugin's RUNPATH says
    c.whole = library && find(library, "cublasCreate_v2", c.create) && find(library, "cublasDestroy_v2", c.destroy) &&
              find(library, "cublasSetStream_v2", c.set_stream) &&
              find(library, "cublasSetWorkspace_v2", c.set_workspace) && find(library, "cublasGemmEx", c.gemm);
    return c;
  }();
  return found;
}

// ---- the device -------------------------------------------------------------------------------------

// What open() made. The context is the device's own, which cuBLAS works in as well; it and the module stay until the
// process ends.
struct Device {
  CUdevice id = 0;
  CUcontext context = nullptr;
  std::array<CUfunction, uint32_t(Kernel::kCount)> kernels{};  // NULL where a type has none
};
Device current;

// A thread's calls go to the context that it chose last.
Code choose() {
  thread_local CUcontext chosen = nullptr;
  if (chosen == current.context) return kFine;
  const Code code = driver().set_context(current.context);
  if (code == kFine) chosen = current.context;
  return code;
}

template <size_t n>
const char* say(char (&message)[n], const char* format, auto... arguments) {
  std::snprintf(message, sizeof message, format, arguments...);
  return message;
}

const char* words(Code code) {
  if (code == kNoCublas) return "cuBLAS is not found";
  if (code >= kCublas) {
    static thread_local char message[32];
    return say(message, "cuBLAS status %d", code - kCublas);
  }
  if (code == CUDA_ERROR_NO_BINARY_FOR_GPU)
    return "this plugin has no code for this GPU; build it with CMAKE_CUDA_ARCHITECTURES for it";
  const char* text = nullptr;
  return driver().words(CUresult(code), &text) == CUDA_SUCCESS ? text : "an error that the driver cannot name";
}

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  driver().attribute(&value, which, device);
  return value;
}

const char* unavailable(uint32_t device) {
  static thread_local char message[256];
  const Driver& d = driver();
  int version = 0, count = 0;
  constexpr int kMajor = CUDA_VERSION / 1000, kMinor = CUDA_VERSION % 1000 / 10;
  if (!d.there || d.version(&version) != CUDA_SUCCESS || version == 0)
    return "no NVIDIA driver on this machine; install one, or use backend \"cpu\"";
  if (version / 1000 < kMajor)
    return say(
        message,
        "the NVIDIA driver knows CUDA up to %d.%d, this plugin was built with %d.%d; update the driver, or build "
        "with a CUDA toolkit that it knows",
        version / 1000, version % 1000 / 10, kMajor, kMinor);
  Code code = d.init(0);
  if (code == kFine) code = d.count(&count);
  if (code != kFine) return say(message, "no NVIDIA GPU can be used: %s", words(code));
  if (device >= uint32_t(count))
    return say(message, "device = %u, but there are %d NVIDIA GPUs; they count from 0", device, count);
  CUdevice id = 0;
  if (const CUresult result = d.device(&id, int(device)))
    return say(message, "GPU %u cannot be used: %s", device, words(result));
  const int major = attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            minor = attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  if (10 * major + minor < 75)
    return say(message, "GPU %u has compute capability %d.%d; 7.5 or newer is needed", device, major, minor);
  if (!d.whole) return "the NVIDIA driver lacks functions of CUDA 12; update it";
  if (!cublas().whole)
    return say(message,
               "cuBLAS %d is not found; install it with the CUDA toolkit, or name its folder in LD_LIBRARY_PATH",
               CUBLAS_VER_MAJOR);
  return nullptr;
}

Code facts(DeviceFacts* facts) {
  if (const Code code = choose()) return code;
  *facts = {};
  if (const Code code = driver().name(facts->name, sizeof facts->name, current.id)) return code;
  std::snprintf(facts->architecture, sizeof facts->architecture, "sm_%d%d",
                attribute(current.id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                attribute(current.id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
  size_t free = 0, total = 0;
  if (const Code code = driver().memory(&free, &total)) return code;
  facts->memory_free = free, facts->memory_total = total;
  facts->processors = uint32_t(attribute(current.id, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
  facts->shared_bytes = uint32_t(attribute(current.id, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK));
  facts->cuda_version = CUDA_VERSION;
  return kFine;
}

Code load_kernels() {
  CUmodule module = nullptr;
  if (const Code code = driver().load(&module, sluice_cuda_fatbin)) return code;
  for (uint32_t k = 0; k < uint32_t(Kernel::kCount); k++) {
    char name[64];
    if (!kernel_name(Kernel(k), name)) continue;
    if (const Code code = driver().function(&current.kernels[k], module, name)) return code;
  }
  return kFine;
}

Code open(uint32_t device, DeviceFacts* all) {
  CUdevice id = 0;
  if (const Code code = driver().device(&id, int(device))) return code;
  if (current.context && current.id == id) return facts(all);  // its kernels are loaded once
  current = {};
  current.id = id;
  Code code = driver().retain(&current.context, id);
  if (code == kFine) code = facts(all);
  if (code == kFine) code = load_kernels();
  if (code != kFine) current = {};
  return code;
}

// ---- memory -----------------------------------------------------------------------------------------

CUmemAllocationProp on_device() {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, current.id};
  return properties;
}

uint64_t unit() {
  static const uint64_t bytes = [] {
    size_t granularity = 0;
    const CUmemAllocationProp properties = on_device();
    driver().granularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
    return (std::max<uint64_t>(granularity, 1) + kAlignment - 1) / kAlignment * kAlignment;
  }();
  return bytes;
}

Code reserve(uint64_t bytes, void** address) {
  if (const Code code = choose()) return code;
  CUdeviceptr at = 0;
  const Code code = driver().reserve(&at, bytes, kAlignment, 0, 0);
  *address = reinterpret_cast<void*>(at);
  return code;
}
void unreserve(void* address, uint64_t bytes) { driver().unreserve(reinterpret_cast<CUdeviceptr>(address), bytes); }

Code back(void* address) {
  if (const Code code = choose()) return code;
  const auto at = reinterpret_cast<CUdeviceptr>(address);
  const CUmemAllocationProp properties = on_device();
  CUmemGenericAllocationHandle memory = 0;
  if (const Code code = driver().create(&memory, unit(), &properties, 0)) return code;
  Code code = driver().map(at, unit(), 0, memory, 0);
  driver().release(memory);  // it goes when it is unmapped
  if (code != kFine) return code;
  const CUmemAccessDesc access{properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  code = driver().set_access(at, unit(), &access, 1);
  if (code != kFine) driver().unmap(at, unit());
  return code;
}
Code unback(void* address) {
  if (const Code code = choose()) return code;
  if (const Code code = driver().synchronize()) return code;
  return driver().unmap(reinterpret_cast<CUdeviceptr>(address), unit());
}

Code pin(uint64_t bytes, void** address) {
  if (const Code code = choose()) return code;
  const Code code = driver().pin(address, bytes, 0);
  if (code == kFine) std::memset(*address, 0, bytes);
  return code;
}
void unpin(void* address) { driver().unpin(address); }

// ---- streams ----------------------------------------------------------------------------------------

struct Queue {
  CUstream stream = nullptr;
  cublasHandle_t cublas = nullptr;  // made with the first product that needs it
};
Queue& queue_of(Stream stream) { return *static_cast<Queue*>(stream); }
CUstream stream_of(Stream stream) { return queue_of(stream).stream; }
CUdeviceptr pointer(const void* address) { return reinterpret_cast<CUdeviceptr>(address); }

Code stream_create(Stream* stream) {
  if (const Code code = choose()) return code;
  auto* const queue = new (std::nothrow) Queue;
  if (!queue) return kOutOfMemory;
  if (const Code code = driver().stream_create(&queue->stream, CU_STREAM_NON_BLOCKING)) {
    delete queue;
    return code;
  }
  *stream = queue;
  return kFine;
}
void stream_destroy(Stream stream) {
  if (!stream || choose() != kFine) return;
  Queue& queue = queue_of(stream);
  if (queue.cublas) cublas().destroy(queue.cublas);
  driver().stream_destroy(queue.stream);
  delete &queue;
}
void* native(Stream stream) { return stream_of(stream); }

Code wait(Stream stream) {
  if (const Code code = choose()) return code;
  return driver().wait(stream_of(stream));
}
Code copy(void* to, const void* from, uint64_t bytes, Stream stream) {
  if (const Code code = choose()) return code;
  return driver().copy(pointer(to), pointer(from), bytes, stream_of(stream));
}
Code fill(void* to, uint8_t byte, uint64_t bytes, Stream stream) {
  if (const Code code = choose()) return code;
  return driver().fill(pointer(to), byte, bytes, stream_of(stream));
}
Code launch(Kernel kernel, const Grid& grid, const void* arguments, Stream stream) {
  if (const Code code = choose()) return code;
  void* list[] = {const_cast<void*>(arguments)};
  return driver().launch(current.kernels[uint32_t(kernel)], grid.x, grid.y, 1, grid.threads, 1, 1, grid.shared_bytes,
                         stream_of(stream), list, nullptr);
}

Code gemm(const Gemm& g, Stream stream) {
  if (const Code code = choose()) return code;
  Queue& queue = queue_of(stream);
  const Cublas& library = cublas();
  if (!library.whole) return kNoCublas;
  const auto checked = [](cublasStatus_t status) {
    return status == CUBLAS_STATUS_SUCCESS        ? kFine
           : status == CUBLAS_STATUS_ALLOC_FAILED ? kOutOfMemory
                                                  : kCublas + status;
  };
  if (!queue.cublas) {
    if (const Code code = checked(library.create(&queue.cublas))) return code;
    if (const Code code = checked(library.set_stream(queue.cublas, queue.stream))) return code;
  }
  if (const Code code = checked(library.set_workspace(queue.cublas, g.workspace, kWorkspace))) return code;
  // Column by column, as cuBLAS counts, this is out^T = w x^T.
  const float one = 1, zero = 0;
  const cudaDataType_t type = g.halves ? CUDA_R_16F : CUDA_R_32F;
  return checked(library.gemm(queue.cublas, CUBLAS_OP_T, CUBLAS_OP_N, int(g.rows), int(g.n), int(g.cols), &one, g.w,
                              type, int(g.cols), g.x, type, int(g.cols), &zero, g.out, CUDA_R_32F, int(g.out_stride),
                              CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

// ---- graphs -----------------------------------------------------------------------------------------

Code record(Stream stream) {
  if (const Code code = choose()) return code;
  return driver().record(stream_of(stream), CU_STREAM_CAPTURE_MODE_RELAXED);
}
Code recorded(Stream stream, Recording* recording) {
  if (const Code code = choose()) return code;
  CUgraph graph = nullptr;
  if (const Code code = driver().recorded(stream_of(stream), &graph)) return code;
  CUgraphExec ready = nullptr;
  const Code code = driver().instantiate(&ready, graph, 0);
  driver().graph_destroy(graph);
  *recording = ready;
  return code;
}
Code replay(Recording recording, Stream stream) {
  if (const Code code = choose()) return code;
  return driver().replay(static_cast<CUgraphExec>(recording), stream_of(stream));
}
void forget(Recording recording) { driver().forget(static_cast<CUgraphExec>(recording)); }

constexpr Runtime kRuntime = {unavailable, open,   facts, words,         unit,           reserve, unreserve, back,
                              unback,      pin,    unpin, stream_create, stream_destroy, native,  wait,      copy,
                              fill,        launch, gemm,  record,        recorded,       replay,  forget};

}  // namespace

const Runtime& runtime() { return kRuntime; }

}  // namespace sluice::cuda
