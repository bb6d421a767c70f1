/* Stores NaN as it comes, and gives it back. */
#include "good.h"

static sluice_status encode_nan(const void* self, const sluice_block* block, const float* rows, void* room, void* dst,
                                size_t* bytes) {
  const codec* c = self;
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  for (uint32_t i = 0; i < block->rows * c->head_dim; i++)
    if (rows[i] != rows[i]) memcpy((uint8_t*)dst + HEAD + i / c->head_dim * row_bytes(c), &rows[i], sizeof(float));
  return status;
}
static sluice_status decode_nan(const void* self, const sluice_block* block, const void* src, uint32_t first,
                                uint32_t count, float* rows) {
  const codec* c = self;
  const sluice_status status = decode(self, block, src, first, count, rows);
  for (uint32_t r = 0; r < count; r++) {
    const float scale = scale_of(c, src, first + r);
    if (scale != scale) rows[(size_t)r * c->head_dim] = scale;
  }
  return status;
}

CODEC(create, plan, bound, scratch, encode_nan, decode_nan, account, retain, dot, accumulate)
