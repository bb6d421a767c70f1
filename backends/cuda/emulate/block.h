// A GPU's blocks and threads on the host, so that kernels can be run and tested where there is no GPU. Each thread of a
// block is a fiber that runs until it waits for others; the blocks of a grid run one after the other. Memory is the
// host's; what a barrier does not order is run in one order of many, so races are not found here.
#pragma once

#include <bit>
#include <cstdint>

#include "sluice/half.h"

namespace sluice::cuda::emulate {

struct Block {
  uint32_t thread = 0, threads = 0, x = 0, y = 0, grid_x = 0, grid_y = 0;
  uint8_t* shared = nullptr;
};
// That of the thread now running.
const Block& block();

void sync_block();
bool any_of_block(bool is);
float shuffle_xor(float value, uint32_t mask);

// Runs kernel(arguments) for all threads of all blocks. `threads` is a multiple of 32, at most 1,024. Shared memory is
// filled with junk before each block. Ends the process with a message where a barrier is not reached by all, or shared
// memory is written past its end. One grid at a time in a process.
void run_grid(void (*kernel)(const void* arguments), const void* arguments, uint32_t grid_x, uint32_t grid_y,
              uint32_t threads, uint32_t shared_bytes);

inline float float_of(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }
inline float from_half(uint16_t h) { return sluice_from_half(h); }
inline uint16_t to_half(float x) { return sluice_to_half(x); }

}  // namespace sluice::cuda::emulate
