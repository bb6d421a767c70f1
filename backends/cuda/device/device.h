// What kernels are written in: the few words of a GPU that they use, for nvcc and, through the loop over blocks and
// threads of emulate/block.h, for any C++ compiler. Kernels stand in the headers beside this one and take one struct of
// arguments each; who launches them is runtime.h's business.
#pragma once

#include <cmath>
#include <cstdint>

#include "backends/cuda/arguments.h"

#if defined(__CUDACC__)
#define SLUICE_KERNEL static __device__ inline void  // an entry of a module is made of it in kernels.cu
#define SLUICE_DEVICE static __device__ inline
#define SLUICE_TABLE static __constant__ const
#else
#include "backends/cuda/emulate/block.h"
#define SLUICE_KERNEL inline void
#define SLUICE_DEVICE static inline
#define SLUICE_TABLE static constexpr
#endif

namespace sluice::cuda {

#if defined(__CUDACC__)

SLUICE_DEVICE uint32_t thread_index() { return threadIdx.x; }
SLUICE_DEVICE uint32_t thread_count() { return blockDim.x; }
SLUICE_DEVICE uint32_t block_x() { return blockIdx.x; }
SLUICE_DEVICE uint32_t block_y() { return blockIdx.y; }
SLUICE_DEVICE uint32_t grid_x() { return gridDim.x; }
SLUICE_DEVICE uint32_t grid_y() { return gridDim.y; }
// All threads of the block come here before any goes on.
SLUICE_DEVICE void sync_block() { __syncthreads(); }
// The same; says whether any of them came with `is`.
SLUICE_DEVICE bool any_of_block(bool is) { return __syncthreads_or(is) != 0; }
// The value of the lane whose number differs by `mask`. All 32 lanes of the warp take part.
SLUICE_DEVICE float shuffle_xor(float value, uint32_t mask) { return __shfl_xor_sync(0xFFFFFFFFu, value, int(mask)); }
// sum + the products of four signed bytes
SLUICE_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t sum) { return __dp4a(int32_t(a), int32_t(b), sum); }
// The block's shared memory, of the size given at the launch; its contents are undefined.
SLUICE_DEVICE uint8_t* shared_memory() {
  extern __shared__ __align__(16) uint8_t sluice_shared[];
  return sluice_shared;
}
// Rounded one by one, never fused.
SLUICE_DEVICE float multiply(float a, float b) { return __fmul_rn(a, b); }
SLUICE_DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
SLUICE_DEVICE float float_of(uint32_t bits) { return __uint_as_float(bits); }
SLUICE_DEVICE uint32_t bits_of(float x) { return __float_as_uint(x); }
SLUICE_DEVICE float round_to_even(float x) { return rintf(x); }

#else

SLUICE_DEVICE uint32_t thread_index() { return emulate::block().thread; }
SLUICE_DEVICE uint32_t thread_count() { return emulate::block().threads; }
SLUICE_DEVICE uint32_t block_x() { return emulate::block().x; }
SLUICE_DEVICE uint32_t block_y() { return emulate::block().y; }
SLUICE_DEVICE uint32_t grid_x() { return emulate::block().grid_x; }
SLUICE_DEVICE uint32_t grid_y() { return emulate::block().grid_y; }
SLUICE_DEVICE void sync_block() { emulate::sync_block(); }
SLUICE_DEVICE bool any_of_block(bool is) { return emulate::any_of_block(is); }
SLUICE_DEVICE float shuffle_xor(float value, uint32_t mask) { return emulate::shuffle_xor(value, mask); }
SLUICE_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t sum) {
  for (uint32_t i = 0; i < 4; i++) sum += int32_t(int8_t(a >> 8 * i)) * int32_t(int8_t(b >> 8 * i));
  return sum;
}
SLUICE_DEVICE uint8_t* shared_memory() { return emulate::block().shared; }
SLUICE_DEVICE float multiply(float a, float b) { return a * b; }
SLUICE_DEVICE float plus(float a, float b) { return a + b; }
SLUICE_DEVICE float float_of(uint32_t bits) { return emulate::float_of(bits); }
SLUICE_DEVICE uint32_t bits_of(float x) { return emulate::bits_of(x); }
SLUICE_DEVICE float round_to_even(float x) { return std::nearbyintf(x); }

#endif

// ---- half floats ------------------------------------------------------------------------------------

#if defined(__CUDACC__)
SLUICE_DEVICE float from_half(uint16_t h) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
}
SLUICE_DEVICE uint16_t to_half(float x) {
  uint16_t h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
#else
SLUICE_DEVICE float from_half(uint16_t h) { return emulate::from_half(h); }
SLUICE_DEVICE uint16_t to_half(float x) { return emulate::to_half(x); }
#endif

// ---- sums over a warp and a block ---------------------------------------------------------------------

// Over the `width` lanes (a power of two) that a lane's number shares all but the low bits with.
SLUICE_DEVICE float sum_of_lanes(float x, uint32_t width) {
  for (uint32_t mask = width / 2; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
  return x;
}
SLUICE_DEVICE float largest_of_lanes(float x, uint32_t width) {
  for (uint32_t mask = width / 2; mask > 0; mask /= 2) x = fmaxf(x, shuffle_xor(x, mask));
  return x;
}
// `room`: floats in shared memory, one for each warp, that nobody else uses.
SLUICE_DEVICE float sum_of_block(float x, float* room) {
  const uint32_t warps = thread_count() / kWarp;
  x = sum_of_lanes(x, kWarp);
  sync_block();
  if (thread_index() % kWarp == 0) room[thread_index() / kWarp] = x;
  sync_block();
  float sum = 0;
  for (uint32_t w = 0; w < warps; w++) sum += room[w];
  return sum;
}
SLUICE_DEVICE float largest_of_block(float x, float* room) {
  const uint32_t warps = thread_count() / kWarp;
  x = largest_of_lanes(x, kWarp);
  sync_block();
  if (thread_index() % kWarp == 0) room[thread_index() / kWarp] = x;
  sync_block();
  float largest = room[0];
  for (uint32_t w = 1; w < warps; w++) largest = fmaxf(largest, room[w]);
  return largest;
}

}  // namespace sluice::cuda
