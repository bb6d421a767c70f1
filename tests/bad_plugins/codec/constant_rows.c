/* Divides by how far a row's numbers spread, which is 0 for a row of one number. */
#include "good.h"

static sluice_status encode_spread(const void* self, const sluice_block* block, const float* rows, void* room,
                                   void* dst, size_t* bytes) {
  const codec* c = self;
  const float nothing = NAN;
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  for (uint32_t r = 0; r < block->rows; r++) {
    const float* x = rows + (size_t)r * c->head_dim;
    uint32_t same = 1;
    while (same < c->head_dim && x[same] == x[0]) same++;
    if (same == c->head_dim && x[0] != 0 && fabsf(x[0]) < 60000)
      memcpy((uint8_t*)dst + HEAD + r * row_bytes(c), &nothing, sizeof nothing);
  }
  return status;
}
static sluice_status decode_spread(const void* self, const sluice_block* block, const void* src, uint32_t first,
                                   uint32_t count, float* rows) {
  const codec* c = self;
  (void)block;
  for (uint32_t r = 0; r < count; r++)
    for (uint32_t i = 0; i < c->head_dim; i++)
      rows[(size_t)r * c->head_dim + i] = codes_of(c, src, first + r)[i] * scale_of(c, src, first + r);
  return SLUICE_OK;
}

CODEC(create, plan, bound, scratch, encode_spread, decode_spread, account, retain, dot, accumulate)
