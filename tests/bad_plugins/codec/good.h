/* A small codec that keeps every promise, from which each plugin here breaks one: a row is a float scale and a signed
 * byte per number, behind a head of 64 bytes. */
#ifndef SLUICE_BAD_PLUGINS_CODEC_GOOD_H
#define SLUICE_BAD_PLUGINS_CODEC_GOOD_H

#include <math.h>
#include <string.h>

#include "sluice/policy.h"

enum { HEAD = 64, SPARE = 0 /* of the head: bytes behind the rows, a uint32_t */, SCRATCH = 64, BLOCK_ROWS = 64 };

typedef struct codec {
  const sluice_host* host;
  uint32_t head_dim;
} codec;

static inline size_t row_bytes(const codec* c) { return sizeof(float) + c->head_dim; }
static inline uint32_t get_u32(const void* at) {
  uint32_t x;
  memcpy(&x, at, sizeof x);
  return x;
}
static inline float scale_of(const codec* c, const uint8_t* block, uint32_t row) {
  float scale;
  memcpy(&scale, block + HEAD + row * row_bytes(c), sizeof scale);
  return scale;
}
static inline int8_t* codes_of(const codec* c, const void* block, uint32_t row) {
  return (int8_t*)block + HEAD + row * row_bytes(c) + sizeof(float);
}
static inline size_t column(const sluice_span* span, uint32_t row) {
  return span->slot_base + (span->slots ? span->slots[row] : row);
}

static inline sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                                   void** self) {
  (void)params;
  if (geometry->head_dim % 16 != 0) return host->fail(host, SLUICE_UNSUPPORTED, "head_dim is no multiple of 16");
  codec* c = host->alloc(host, sizeof *c, 64);
  if (!c) return SLUICE_NO_MEMORY;
  c->host = host, c->head_dim = geometry->head_dim;
  *self = c;
  return SLUICE_OK;
}
static inline void destroy(void* self) {
  const codec* c = self;
  c->host->free(c->host, self);
}
static inline void plan(const void* self, uint32_t side, sluice_codec_plan* plan) {
  (void)self, (void)side;
  const sluice_codec_plan wanted = {BLOCK_ROWS, 0, 8 * BLOCK_ROWS, 0, 0.02};
  *plan = wanted;
}
static inline size_t bound(const void* self, uint32_t side, uint32_t rows) {
  (void)side;
  return HEAD + rows * row_bytes(self);
}
static inline size_t scratch(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
  (void)self, (void)side, (void)rows, (void)queries;
  return SCRATCH;
}

/* What F16 cannot hold becomes what it can. */
static inline float clean(float x) { return x != x ? 0 : fmaxf(-65504, fminf(65504, x)); }
static inline float largest(const float* x, size_t n) {
  float most = 0;
  for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(clean(x[i])));
  return most;
}
static inline void encode_row(uint32_t n, const float* x, float scale, uint8_t* to) {
  memcpy(to, &scale, sizeof scale);
  for (uint32_t i = 0; i < n; i++) {
    const float code = scale > 0 ? rintf(clean(x[i]) / scale) : 0;
    to[sizeof scale + i] = (uint8_t)(int8_t)fmaxf(-127, fminf(127, code));
  }
}
/* A row's largest number becomes `top`. */
static inline sluice_status encode_to(float top, const void* self, const sluice_block* block, const float* rows,
                                      void* scratch, void* dst, size_t* bytes) {
  const codec* c = self;
  memset(scratch, 0, SCRATCH);
  memset(dst, 0, HEAD);
  for (uint32_t r = 0; r < block->rows; r++) {
    const float* x = rows + (size_t)r * c->head_dim;
    encode_row(c->head_dim, x, largest(x, c->head_dim) / top, (uint8_t*)dst + HEAD + r * row_bytes(c));
  }
  *bytes = bound(self, block->side, block->rows);
  return SLUICE_OK;
}
static inline sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch,
                                   void* dst, size_t* bytes) {
  return encode_to(127, self, block, rows, scratch, dst, bytes);
}
static inline sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first,
                                   uint32_t count, float* rows) {
  const codec* c = self;
  (void)block;
  for (uint32_t r = 0; r < count; r++)
    for (uint32_t i = 0; i < c->head_dim; i++)
      rows[(size_t)r * c->head_dim + i] = clean(codes_of(c, src, first + r)[i] * scale_of(c, src, first + r));
  return SLUICE_OK;
}
static inline void account(const void* self, const sluice_block* block, const void* src, sluice_account* account) {
  const codec* c = self;
  memset(account, 0, sizeof *account);
  account->codes = (uint64_t)block->rows * c->head_dim;
  account->scales = (uint64_t)block->rows * sizeof(float);
  account->index = HEAD;
  account->padding = get_u32((const uint8_t*)src + SPARE);
}
static inline sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep,
                                   uint32_t n, size_t* bytes) {
  const codec* c = self;
  uint8_t* first = (uint8_t*)src + HEAD;
  for (uint32_t r = 0; r < n; r++) memmove(first + r * row_bytes(c), first + keep[r] * row_bytes(c), row_bytes(c));
  *bytes = bound(self, block->side, n) + get_u32((const uint8_t*)src + SPARE);
  return SLUICE_OK;
}

static inline void score_row(const codec* c, const sluice_tile* tile, const sluice_span* span, uint32_t row,
                             const float* q, float* scores) {
  for (uint32_t i = 0; i < tile->queries; i++) {
    float sum = 0;
    for (uint32_t k = 0; k < c->head_dim; k++) sum += q[(size_t)i * c->head_dim + k] * codes_of(c, span->src, row)[k];
    scores[i * tile->stride + column(span, row)] = sum * scale_of(c, span->src, row);
  }
}
static inline sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t r = 0; r < tile->spans[s].rows; r++) score_row(self, tile, &tile->spans[s], r, q, scores);
  return SLUICE_OK;
}
static inline void add_row(const codec* c, const sluice_tile* tile, const sluice_span* span, uint32_t row,
                           const float* weights, float* out) {
  for (uint32_t i = 0; i < tile->queries; i++) {
    const float factor = weights[i * tile->stride + column(span, row)] * scale_of(c, span->src, row);
    for (uint32_t k = 0; k < c->head_dim; k++)
      out[(size_t)i * c->head_dim + k] += factor * codes_of(c, span->src, row)[k];
  }
}
static inline sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  for (uint32_t s = 0; s < tile->count; s++)
    for (uint32_t r = 0; r < tile->spans[s].rows; r++) add_row(self, tile, &tile->spans[s], r, weights, out);
  return SLUICE_OK;
}

/* CODEC(create, plan, bound, scratch, encode, decode, account, retain, dot, accumulate), one of them another. */
#define CODEC(create_, plan_, bound_, scratch_, encode_, decode_, account_, retain_, dot_, accumulate_)      \
  static const sluice_codec table = {create_, destroy,  plan_,   bound_, scratch_,   encode_,                \
                                     decode_, account_, retain_, dot_,   accumulate_};                       \
  static const sluice_module module = {                                                                      \
      SLUICE_CODEC, &table, SLUICE_CODEC_LAYOUT, 0, NULL, "bad", "breaks one promise", "1", NULL, NULL};     \
  static const sluice_module* const modules[] = {&module};                                                   \
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"}; \
  const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }

#endif
