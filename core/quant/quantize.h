// Floats into GGUF's weight types, in the best way that the format and plain squared error allow. The layouts
// are in sluice/gguf_types.h; whole models are the business of core/convert.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

// Types that quantize() writes: all that sluice_gguf_type_info() knows.
std::span<const uint32_t> quantizable_types();

// The type of a name as people write it ("q4_k", "Q4_K"); Error with the names there are.
uint32_t parse_weight_type(std::string_view name);

// True for the types that lose bits of a trained weight: all but F32, F16 and BF16.
bool is_quantized(uint32_t type);

// The values of x[n] as `type` to dst. n is a multiple of the type's block, every value is finite; values beyond
// what the type can hold become its largest. Rows are independent, so any thread may take any part.
void quantize(uint32_t type, const float* x, size_t n, void* dst);

namespace quant {
// By family, one block after the other. [quantize_small.cpp, quantize_super.cpp]
void quantize_small_blocks(uint32_t type, const float* x, size_t n, void* dst);
void quantize_super_blocks(uint32_t type, const float* x, size_t n, void* dst);
}  // namespace quant

}  // namespace sluice
