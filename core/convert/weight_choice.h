// Which weight type each tensor of a converted model gets. How numbers become that type is core/quant's work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

struct WeightChoice {
  uint32_t type = 0;
  std::string reason;     // why it is not the type that was asked for; empty if it is
  bool fallback = false;  // the rows do not divide by the type's block (otherwise: a rule about the tensor's role)
};

// For a tensor of rows [cols] in a model asked for as `type`. Vectors (norms, biases) stay F32. The output matrix,
// which is the embedding where the two are tied, is kept at Q6_K or more as other tools do, since its errors reach the
// logits directly; `pure` leaves that rule out. Where rows do not divide by the type's block:
//   Q2_K, Q3_K -> Q4_0, Q4_K -> Q4_1, Q5_K -> Q5_1, Q6_K -> Q8_0, and blocks of 32 -> F16.
WeightChoice choose_weight_type(std::string_view name, bool vector, uint64_t cols, uint32_t type, bool tied, bool pure);

// GGUF's general.file_type for models that are mostly of this type.
uint32_t gguf_file_type(uint32_t type);

}  // namespace sluice
