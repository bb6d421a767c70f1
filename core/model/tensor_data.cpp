// See tensor_data.h.
#include "core/model/tensor_data.h"

#include <cassert>
#include <cstring>
#include <new>

#include "sluice/gguf_types.h"

namespace sluice {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void OwnedData::Free::operator()(std::byte* data) const { ::operator delete[](data, kAlignment); }

std::byte* OwnedData::add(uint64_t bytes) {
  blocks_.emplace_back(static_cast<std::byte*>(::operator new[](bytes, kAlignment)));
  return blocks_.back().get();
}

void OwnedData::drop(const void* data) {
  std::erase_if(blocks_, [&](const auto& block) { return block.get() == data; });
}

void pair_neighbours(Tensor& tensor, uint32_t heads, uint32_t head_dim, OwnedData& owned) {
  const uint64_t units = uint64_t(heads) * head_dim;  // rows of a matrix, entries of a vector
  assert(tensor.rows == units || (tensor.rows == 1 && tensor.cols == units));
  const uint64_t unit_bytes = tensor.bytes / units;
  const auto* const from = static_cast<const std::byte*>(tensor.data);
  std::byte* const to = owned.add(tensor.bytes);
  const uint32_t half = head_dim / 2;
  for (uint64_t head = 0; head < heads; head++) {
    for (uint64_t i = 0; i < half; i++) {
      const uint64_t first = head * head_dim + i, pair = head * head_dim + 2 * i;
      std::memcpy(to + pair * unit_bytes, from + first * unit_bytes, unit_bytes);
      std::memcpy(to + (pair + 1) * unit_bytes, from + (first + half) * unit_bytes, unit_bytes);
    }
  }
  tensor.data = to;
}

void vector_to_f32(Tensor& tensor, OwnedData& owned) {
  if (tensor.rows != 1 || tensor.type == SLUICE_GGUF_F32) return;
  auto* const to = reinterpret_cast<float*>(owned.add(tensor.cols * sizeof(float)));
  sluice_gguf_dequantize(tensor.type, tensor.data, tensor.cols, to);
  tensor.data = to;
  tensor.type = SLUICE_GGUF_F32;
  tensor.bytes = tensor.cols * sizeof(float);
}

void align_numbers(Tensor& tensor, OwnedData& owned) {
  const uint32_t size = sluice_gguf_type_info(tensor.type)->bytes;
  if (reinterpret_cast<uintptr_t>(tensor.data) % size == 0) return;
  std::byte* const to = owned.add(tensor.bytes);
  std::memcpy(to, tensor.data, tensor.bytes);
  tensor.data = to;
}

}  // namespace sluice
