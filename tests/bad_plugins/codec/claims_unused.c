/* Claims 32 bytes that it does not use, as codes. */
#include "good.h"

enum { UNUSED = 32 };

static size_t bound_more(const void* self, uint32_t side, uint32_t rows) { return bound(self, side, rows) + UNUSED; }
static sluice_status encode_more(const void* self, const sluice_block* block, const float* rows, void* room, void* dst,
                                 size_t* bytes) {
  const sluice_status status = encode(self, block, rows, room, dst, bytes);
  *bytes += UNUSED;
  return status;
}
static sluice_status retain_more(const void* self, const sluice_block* block, void* src, const uint32_t* keep,
                                 uint32_t n, size_t* bytes) {
  const sluice_status status = retain(self, block, src, keep, n, bytes);
  *bytes += UNUSED;
  return status;
}
static void account_more(const void* self, const sluice_block* block, const void* src, sluice_account* itemised) {
  account(self, block, src, itemised);
  itemised->codes += UNUSED;
}

CODEC(create, plan, bound_more, scratch, encode_more, decode, account_more, retain_more, dot, accumulate)
