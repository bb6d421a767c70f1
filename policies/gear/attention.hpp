// dot() and accumulate() of gear, on packed rows.
#pragma once

#include "block.hpp"

namespace sluice {

// Bytes of scratch that either wants.
size_t gear_attention_scratch();

sluice_status gear_dot(const GearShape& shape, const sluice_tile& tile, const float* q, float* scores);
sluice_status gear_accumulate(const GearShape& shape, const sluice_tile& tile, const float* weights, float* out);

}  // namespace sluice
