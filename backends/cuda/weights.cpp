// Weights on the device: matrices as they stand in the file, since kernels read that form; single rows, norm gains and
// biases, as floats.
#include <cstring>
#include <memory>
#include <new>

#include "backends/cuda/cuda.h"

namespace sluice::cuda {

int32_t weight_type(void*, uint32_t gguf_type) { return type_index(gguf_type) < kTypeCount; }

sluice_status weight_create(void* self, uint32_t gguf_type, uint32_t rows, uint32_t cols, const void* data,
                            uint64_t bytes, sluice_weight** weight) {
  Backend& backend = backend_of(self);
  const uint32_t type = type_index(gguf_type);
  if (type == kTypeCount) {
    char known[160] = {};
    for (const uint32_t t : kTypes) {
      std::strcat(known, *known ? ", " : "");
      std::strcat(known, sluice_gguf_type_info(t)->name);
    }
    return fail(backend, SLUICE_UNSUPPORTED, "tensor type %u is not supported; the cuda backend knows %s", gguf_type,
                known);
  }
  const sluice_gguf_type& info = *sluice_gguf_type_info(gguf_type);
  if (rows == 0 || cols == 0 || cols % info.block != 0) {
    return fail(backend, SLUICE_INVALID, "a %s matrix of %u rows of %u columns: columns come in blocks of %u",
                info.name, rows, cols, info.block);
  }
  const uint64_t row_bytes = sluice_gguf_row_bytes(gguf_type, cols);
  if (bytes / rows != row_bytes || bytes % rows != 0) {
    return fail(backend, SLUICE_INVALID, "a %s matrix of %u x %u has %llu bytes, not %llu", info.name, rows, cols,
                (unsigned long long)(row_bytes * rows), (unsigned long long)bytes);
  }
  auto w =
      std::unique_ptr<sluice_weight>(new (std::nothrow) sluice_weight{type, rows, cols, row_bytes, bytes, nullptr});
  std::unique_ptr<float[]> numbers;
  if (rows == 1) {
    numbers.reset(new (std::nothrow) float[cols]);
    *w = {type_index(SLUICE_GGUF_F32), 1, cols, cols * sizeof(float), cols * sizeof(float), nullptr};
    if (numbers) sluice_gguf_dequantize(gguf_type, data, cols, numbers.get());
  }
  if (!w || (rows == 1 && !numbers)) return fail(backend, SLUICE_NO_MEMORY, "weights: the system refused memory");
  if (const sluice_status status = weight_room(backend, w->bytes, &w->data)) return status;
  const void* const from = rows == 1 ? numbers.get() : data;
  Code code = backend.gpu->copy(w->data, from, w->bytes, backend.housekeeping);
  if (code == kFine) code = backend.gpu->wait(backend.housekeeping);
  if (code != kFine) {
    weight_free(backend, w->data, w->bytes);
    return answer(backend, code, "weights");
  }
  *weight = w.release();
  return SLUICE_OK;
}

void weight_destroy(void* self, sluice_weight* weight) {
  if (!weight) return;
  weight_free(backend_of(self), weight->data, weight->bytes);
  delete weight;
}

uint64_t weight_bytes(void*, const sluice_weight* weight) { return weight->bytes; }

}  // namespace sluice::cuda
