// The table of runtime.h from CUDA: the driver's virtual memory, the runtime's streams and graphs, the kernels, and
// cuBLAS. The runtime is linked in; driver and cuBLAS are looked for when they are first needed, so that the plugin
// loads, and says what is missing, on machines that have neither.
#include <cublas_v2.h>
#include <cuda.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

#include "backends/cuda/device/kernels.h"
#include "backends/cuda/runtime.h"

namespace sluice::cuda {
namespace {

constexpr Code kNoCublas = 100000;  // beyond CUDA's own codes; cuBLAS's follow
constexpr Code kCublas = 100001;
constexpr Code kDriver = 200000;  // and the driver's
constexpr uint64_t kAlignment = 2u << 20;

Code code_of(cudaError_t error) { return error == cudaErrorMemoryAllocation ? kOutOfMemory : Code(error); }
Code code_of(CUresult result) {
  return result == CUDA_SUCCESS ? kFine : result == CUDA_ERROR_OUT_OF_MEMORY ? kOutOfMemory : kDriver + Code(result);
}

// ---- libraries --------------------------------------------------------------------------------------

template <class F>
bool find(void* library, const char* name, F*& function) {
  function = reinterpret_cast<F*>(dlsym(library, name));
  return function != nullptr;
}

struct Driver {
  decltype(cuMemAddressReserve)* reserve = nullptr;
  decltype(cuMemAddressFree)* unreserve = nullptr;
  decltype(cuMemCreate)* create = nullptr;
  decltype(cuMemRelease)* release = nullptr;
  decltype(cuMemMap)* map = nullptr;
  decltype(cuMemUnmap)* unmap = nullptr;
  decltype(cuMemSetAccess)* set_access = nullptr;
  decltype(cuMemGetAllocationGranularity)* granularity = nullptr;
  decltype(cuGetErrorString)* words = nullptr;
  bool whole = false;
};
const Driver& driver() {
  static const Driver found = [] {
    Driver d;
    void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    d.whole = library && find(library, "cuMemAddressReserve", d.reserve) &&
              find(library, "cuMemAddressFree", d.unreserve) && find(library, "cuMemCreate", d.create) &&
              find(library, "cuMemRelease", d.release) && find(library, "cuMemMap", d.map) &&
              find(library, "cuMemUnmap", d.unmap) && find(library, "cuMemSetAccess", d.set_access) &&
              find(library, "cuMemGetAllocationGranularity", d.granularity) &&
              find(library, "cuGetErrorString", d.words);
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

int current = 0;  // the one that open() chose

// A thread's calls go to the device that it chose last.
void choose() {
  thread_local int chosen = -1;
  if (chosen == current) return;
  cudaSetDevice(current);
  chosen = current;
}

const char* say(char (&message)[256], const char* format, auto... arguments) {
  std::snprintf(message, sizeof message, format, arguments...);
  return message;
}

const char* unavailable(uint32_t device) {
  static thread_local char message[256];
  int version = 0, count = 0, major = 0, minor = 0;
  constexpr int kMajor = CUDART_VERSION / 1000, kMinor = CUDART_VERSION % 1000 / 10;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0)
    return "no NVIDIA driver on this machine; install one, or use backend \"cpu\"";
  if (version / 1000 < kMajor)
    return say(
        message,
        "the NVIDIA driver knows CUDA up to %d.%d, this plugin was built with %d.%d; update the driver, or build "
        "with a CUDA toolkit that it knows",
        version / 1000, version % 1000 / 10, kMajor, kMinor);
  if (const cudaError_t error = cudaGetDeviceCount(&count))
    return say(message, "no NVIDIA GPU can be used: %s", cudaGetErrorString(error));
  if (int(device) >= count)
    return say(message, "device = %u, but there are %d NVIDIA GPUs; they count from 0", device, count);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, int(device));
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, int(device));
  if (10 * major + minor < 75)
    return say(message, "GPU %u has compute capability %d.%d; 7.5 or newer is needed", device, major, minor);
  if (!driver().whole) return "the NVIDIA driver has no virtual memory management; update it";
  if (!cublas().whole)
    return say(message,
               "cuBLAS %d is not found; install it with the CUDA toolkit, or name its folder in LD_LIBRARY_PATH",
               CUBLAS_VER_MAJOR);
  return nullptr;
}

Code facts(DeviceFacts* facts) {
  choose();
  cudaDeviceProp properties{};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, current)) return code_of(error);
  *facts = {};
  std::snprintf(facts->name, sizeof facts->name, "%s", properties.name);
  std::snprintf(facts->architecture, sizeof facts->architecture, "sm_%d%d", properties.major, properties.minor);
  size_t free = 0, total = 0;
  if (const cudaError_t error = cudaMemGetInfo(&free, &total)) return code_of(error);
  facts->memory_free = free, facts->memory_total = total;
  facts->processors = uint32_t(properties.multiProcessorCount);
  facts->shared_bytes = uint32_t(properties.sharedMemPerBlock);
  facts->cuda_version = CUDART_VERSION;
  return kFine;
}

using Kernels = std::array<const void*, uint32_t(Kernel::kCount)>;
const Kernels& kernels() {
  static const Kernels table = [] {
    Kernels t{};
    each_kernel([&](Kernel kernel, auto* function) { t[uint32_t(kernel)] = reinterpret_cast<const void*>(function); });
    return t;
  }();
  return table;
}

Code open(uint32_t device, DeviceFacts* all) {
  current = int(device);
  if (const Code code = facts(all)) return code;
  cudaFuncAttributes attributes;  // fails where this plugin has no code for the device
  return code_of(cudaFuncGetAttributes(&attributes, kernels()[0]));
}

const char* words(Code code) {
  if (code == kNoCublas) return "cuBLAS is not found";
  if (code >= kDriver) {
    const char* text = nullptr;
    return driver().words(CUresult(code - kDriver), &text) == CUDA_SUCCESS ? text
                                                                           : "an error that the driver cannot name";
  }
  if (code >= kCublas) {
    static thread_local char message[256];
    return say(message, "cuBLAS status %d", code - kCublas);
  }
  if (code == Code(cudaErrorNoKernelImageForDevice))
    return "this plugin has no code for this GPU; build it with CMAKE_CUDA_ARCHITECTURES for it";
  return cudaGetErrorString(cudaError_t(code));
}

// ---- memory -----------------------------------------------------------------------------------------

CUmemAllocationProp on_device() {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, current};
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
  choose();
  CUdeviceptr at = 0;
  const Code code = code_of(driver().reserve(&at, bytes, kAlignment, 0, 0));
  *address = reinterpret_cast<void*>(at);
  return code;
}
void unreserve(void* address, uint64_t bytes) { driver().unreserve(reinterpret_cast<CUdeviceptr>(address), bytes); }

Code back(void* address) {
  choose();
  const auto at = reinterpret_cast<CUdeviceptr>(address);
  const CUmemAllocationProp properties = on_device();
  CUmemGenericAllocationHandle memory = 0;
  if (const Code code = code_of(driver().create(&memory, unit(), &properties, 0))) return code;
  Code code = code_of(driver().map(at, unit(), 0, memory, 0));
  driver().release(memory);  // it goes when it is unmapped
  if (code != kFine) return code;
  const CUmemAccessDesc access{properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  code = code_of(driver().set_access(at, unit(), &access, 1));
  if (code != kFine) driver().unmap(at, unit());
  return code;
}
Code unback(void* address) {
  choose();
  if (const cudaError_t error = cudaDeviceSynchronize()) return code_of(error);
  return code_of(driver().unmap(reinterpret_cast<CUdeviceptr>(address), unit()));
}

Code pin(uint64_t bytes, void** address) {
  choose();
  const Code code = code_of(cudaHostAlloc(address, bytes, cudaHostAllocDefault));
  if (code == kFine) std::memset(*address, 0, bytes);
  return code;
}
void unpin(void* address) { cudaFreeHost(address); }

// ---- streams ----------------------------------------------------------------------------------------

struct Queue {
  cudaStream_t stream = nullptr;
  cublasHandle_t cublas = nullptr;  // made with the first product that needs it
};
Queue& queue_of(Stream stream) { return *static_cast<Queue*>(stream); }
cudaStream_t stream_of(Stream stream) { return queue_of(stream).stream; }

Code stream_create(Stream* stream) {
  choose();
  auto* const queue = new (std::nothrow) Queue;
  if (!queue) return kOutOfMemory;
  if (const cudaError_t error = cudaStreamCreateWithFlags(&queue->stream, cudaStreamNonBlocking)) {
    delete queue;
    return code_of(error);
  }
  *stream = queue;
  return kFine;
}
void stream_destroy(Stream stream) {
  if (!stream) return;
  choose();
  Queue& queue = queue_of(stream);
  if (queue.cublas) cublas().destroy(queue.cublas);
  cudaStreamDestroy(queue.stream);
  delete &queue;
}
void* native(Stream stream) { return stream_of(stream); }

Code wait(Stream stream) {
  choose();
  return code_of(cudaStreamSynchronize(stream_of(stream)));
}
Code copy(void* to, const void* from, uint64_t bytes, Stream stream) {
  choose();
  return code_of(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream)));
}
Code fill(void* to, uint8_t byte, uint64_t bytes, Stream stream) {
  choose();
  return code_of(cudaMemsetAsync(to, byte, bytes, stream_of(stream)));
}
Code launch(Kernel kernel, const Grid& grid, const void* arguments, Stream stream) {
  choose();
  void* list[] = {const_cast<void*>(arguments)};
  return code_of(cudaLaunchKernel(kernels()[uint32_t(kernel)], dim3(grid.x, grid.y), dim3(grid.threads), list,
                                  grid.shared_bytes, stream_of(stream)));
}

Code gemm(const Gemm& g, Stream stream) {
  choose();
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
  const cudaDataType type = g.halves ? CUDA_R_16F : CUDA_R_32F;
  return checked(library.gemm(queue.cublas, CUBLAS_OP_T, CUBLAS_OP_N, int(g.rows), int(g.n), int(g.cols), &one, g.w,
                              type, int(g.cols), g.x, type, int(g.cols), &zero, g.out, CUDA_R_32F, int(g.out_stride),
                              CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

// ---- graphs -----------------------------------------------------------------------------------------

Code record(Stream stream) {
  choose();
  return code_of(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeRelaxed));
}
Code recorded(Stream stream, Recording* recording) {
  choose();
  cudaGraph_t graph = nullptr;
  if (const cudaError_t error = cudaStreamEndCapture(stream_of(stream), &graph)) return code_of(error);
  cudaGraphExec_t ready = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  *recording = ready;
  return code_of(error);
}
Code replay(Recording recording, Stream stream) {
  choose();
  return code_of(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), stream_of(stream)));
}
void forget(Recording recording) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(recording)); }

constexpr Runtime kRuntime = {unavailable, open,   facts, words,         unit,           reserve, unreserve, back,
                              unback,      pin,    unpin, stream_create, stream_destroy, native,  wait,      copy,
                              fill,        launch, gemm,  record,        recorded,       replay,  forget};

}  // namespace

const Runtime& runtime() { return kRuntime; }

}  // namespace sluice::cuda
