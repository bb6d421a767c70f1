// What the backend asks of a GPU's driver and libraries, as a table of functions: runtime.cpp fills it in from CUDA and
// cuBLAS, emulate/runtime.cpp from the host's memory and the kernels built for it. Nothing else of the backend knows
// which of the two it works on.
#pragma once

#include <cstdint>

#include "backends/cuda/arguments.h"

namespace sluice::cuda {

// 0: fine. Others are said in words by Runtime::words.
using Code = int;
inline constexpr Code kFine = 0, kOutOfMemory = 2;

struct DeviceFacts {
  char name[64];
  char architecture[16];  // "sm_86"
  uint64_t memory_total, memory_free;
  uint32_t processors;    // multiprocessors
  uint32_t shared_bytes;  // that a block may have without asking
  uint32_t cuda_version;  // of the runtime that this was built with
};

struct Grid {
  uint32_t x, y, threads, shared_bytes;
};

// out = x w^T, all row by row: x [n][cols] and w [rows][cols] are F16 or float, out [n] rows of out_stride is float.
struct Gemm {
  const void *w, *x;
  float* out;
  uint32_t rows, cols, n, out_stride;
  bool halves;      // w and x are F16, and multiplied by tensor cores
  void* workspace;  // kWorkspace bytes
};

inline constexpr uint64_t kWorkspace = 8u << 20;

using Stream = void*;
using Recording = void*;

struct Runtime {
  // NULL, or why no device can be had: a sentence with the remedy. Creates no context.
  const char* (*unavailable)(uint32_t device);
  Code (*open)(uint32_t device, DeviceFacts* facts);  // makes it the device of all that follows
  Code (*facts)(DeviceFacts* facts);
  const char* (*words)(Code code);

  // Address space aligned to 2 MiB; memory in units of `unit` bytes, a multiple or a part of 2 MiB,
  // that is put behind it.
  uint64_t (*unit)();
  Code (*reserve)(uint64_t bytes, void** address);
  void (*unreserve)(void* address, uint64_t bytes);
  Code (*back)(void* address);                  // one unit, contents undefined
  Code (*unback)(void* address);                // one unit, once nobody on the device uses it
  Code (*pin)(uint64_t bytes, void** address);  // host memory that copies do not wait for
  void (*unpin)(void* address);

  Code (*stream_create)(Stream* stream);
  void (*stream_destroy)(Stream stream);
  void* (*native)(Stream stream);  // a cudaStream_t, or NULL
  Code (*wait)(Stream stream);
  Code (*copy)(void* to, const void* from, uint64_t bytes, Stream stream);  // device or host, either way
  Code (*fill)(void* to, uint8_t byte, uint64_t bytes, Stream stream);
  Code (*launch)(Kernel kernel, const Grid& grid, const void* arguments, Stream stream);
  Code (*gemm)(const Gemm& gemm, Stream stream);

  Code (*record)(Stream stream);  // from here on what is asked of the stream is kept, not run
  Code (*recorded)(Stream stream, Recording* recording);
  Code (*replay)(Recording recording, Stream stream);
  void (*forget)(Recording recording);
};

const Runtime& runtime();

}  // namespace sluice::cuda
