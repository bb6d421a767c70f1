/* Keeps every promise that all codecs give, but codes a row in steps that are a little wider. */
#include "../codec/good.h"

static sluice_status encode_wider(const void* self, const sluice_block* block, const float* rows, void* scratch,
                                  void* dst, size_t* bytes) {
  return encode_to(120, self, block, rows, scratch, dst, bytes);
}

CODEC(create, plan, bound, scratch, encode_wider, decode, account, retain, dot, accumulate)
