/* my_codec: a copy-me codec. Each row becomes codes of 4 or 8 bits with a scale and a zero of its own. Replace what
 * encode() does to a row by your idea; rows that stand for themselves make everything else short. */
#include <sluice/kernels.h>
#include <sluice/policy.h>

typedef struct {
  const sluice_host* host;
  const sluice_kernels* kernels;
  uint32_t head_dim, bits, block_rows;
} instance;

enum { BITS, BLOCK_ROWS, PARAMS };
enum { HEAD_DIM_MOST = 256, PAIR_BYTES = 4 };

/* A block is its rows one after another: scale and zero as half floats, then the codes. No row needs another one. */
static size_t code_bytes(const instance* codec) { return sluice_packed_bytes(codec->bits, codec->head_dim); }
static size_t row_bytes(const instance* codec) { return PAIR_BYTES + code_bytes(codec); }
static float levels(const instance* codec) { return (float)((1u << codec->bits) - 1); }

static void read_pair(const uint8_t* row, float* scale, float* zero) {
  uint16_t halves[2];
  memcpy(halves, row, sizeof halves);
  *scale = sluice_from_half(halves[0]);
  *zero = sluice_from_half(halves[1]);
}

static sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                            void** self) {
  instance* codec;
  if (geometry->head_dim % 32 != 0 || geometry->head_dim > HEAD_DIM_MOST)
    return host->fail(host, SLUICE_UNSUPPORTED, "my_codec: needs a head_dim that is a multiple of 32, at most 256");
  codec = (instance*)host->alloc(host, sizeof *codec, sizeof(void*));
  if (!codec) return host->fail(host, SLUICE_NO_MEMORY, "my_codec: no memory for the instance");
  codec->host = host;
  codec->kernels = sluice_kernels_best();
  codec->head_dim = geometry->head_dim;
  codec->bits = params[BITS].i == 0 ? 4 : 8;
  codec->block_rows = (uint32_t)params[BLOCK_ROWS].i;
  *self = codec;
  return SLUICE_OK;
}

static void destroy(void* self) {
  const sluice_host* host = ((instance*)self)->host;
  host->free(host, self);
}

/* The tolerance is that of rows of 256 normal numbers, whose range is about 6.7, with errors even over a step. */
static void plan(const void* self, uint32_t side, sluice_codec_plan* plan) {
  const instance* codec = (const instance*)self;
  (void)side;
  memset(plan, 0, sizeof *plan);
  plan->block_rows = codec->block_rows;
  plan->max_rows = codec->block_rows;
  plan->tolerance = codec->bits == 4 ? 0.145 : 0.011;
}

static size_t bound(const void* self, uint32_t side, uint32_t rows) {
  (void)side;
  return rows * row_bytes((const instance*)self);
}

/* What dot() and accumulate() work in: queries and weights as integers, for products that are exact. */
typedef struct {
  float sums[SLUICE_TILE][HEAD_DIM_MOST]; /* of a chunk of rows, or of the channels */
  float weights[SLUICE_CHUNK];
  float steps[SLUICE_TILE], rounding[SLUICE_TILE], shift[SLUICE_TILE];
  int16_t whole[SLUICE_TILE * HEAD_DIM_MOST];
  int8_t digits[SLUICE_TILE * 3 * SLUICE_CHUNK];
} work;

static size_t scratch(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
  (void)self, (void)side, (void)rows;
  return queries > 0 ? sizeof(work) : 64;
}

/* NaN becomes 0, and what a half float cannot hold the largest that it can. */
static float storable(float x) {
  if (x != x) return 0;
  return x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
}

static sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch, void* dst,
                            size_t* bytes) {
  const instance* codec = (const instance*)self;
  const uint32_t n = codec->head_dim;
  float x[HEAD_DIM_MOST], scales[HEAD_DIM_MOST], zeros[HEAD_DIM_MOST];
  uint8_t codes[HEAD_DIM_MOST], *row = (uint8_t*)dst;
  uint32_t r, i;
  (void)scratch;
  for (r = 0; r < block->rows; r++, row += row_bytes(codec), rows += n) {
    float low, high, scale, zero;
    uint16_t pair[2];
    for (i = 0; i < n; i++) x[i] = storable(rows[i]);
    low = high = x[0];
    for (i = 1; i < n; i++) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
    pair[0] = sluice_to_half((high - low) / levels(codec));
    pair[1] = sluice_to_half(low);
    memcpy(row, pair, sizeof pair);
    read_pair(row, &scale, &zero); /* as decode() will see them */
    for (i = 0; i < n; i++) scales[i] = scale, zeros[i] = zero;
    codec->kernels->quantize(n, x, scales, zeros, (uint32_t)levels(codec), codes);
    codec->kernels->pack(codec->bits, n, codes, row + PAIR_BYTES);
  }
  *bytes = bound(self, block->side, block->rows);
  return SLUICE_OK;
}

static sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first,
                            uint32_t count, float* rows) {
  const instance* codec = (const instance*)self;
  const uint32_t n = codec->head_dim;
  const uint8_t* row = (const uint8_t*)src + first * row_bytes(codec);
  float scales[HEAD_DIM_MOST], zeros[HEAD_DIM_MOST], scale, zero;
  uint8_t codes[HEAD_DIM_MOST];
  uint32_t r, i;
  (void)block;
  for (r = 0; r < count; r++, row += row_bytes(codec), rows += n) {
    read_pair(row, &scale, &zero);
    for (i = 0; i < n; i++) scales[i] = scale, zeros[i] = zero;
    codec->kernels->unpack(codec->bits, n, row + PAIR_BYTES, codes);
    codec->kernels->dequantize(n, codes, scales, zeros, rows);
  }
  return SLUICE_OK;
}

static void account(const void* self, const sluice_block* block, const void* src, sluice_account* account) {
  const instance* codec = (const instance*)self;
  (void)src;
  memset(account, 0, sizeof *account);
  account->codes = block->rows * code_bytes(codec);
  account->scales = (uint64_t)block->rows * PAIR_BYTES;
}

static sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                            size_t* bytes) {
  const size_t size = row_bytes((const instance*)self);
  uint8_t* rows = (uint8_t*)src;
  uint32_t i;
  (void)block;
  for (i = 0; i < n; i++)
    if (keep[i] != i) memcpy(rows + i * size, rows + keep[i] * size, size);
  *bytes = n * size;
  return SLUICE_OK;
}

/* The codes of up to SLUICE_CHUNK rows, from row `first` of a span. */
static sluice_codes chunk_of(const instance* codec, const sluice_span* span, uint32_t first) {
  sluice_codes codes;
  codes.packed = (const uint8_t*)span->src + first * row_bytes(codec) + PAIR_BYTES;
  codes.row_bytes = row_bytes(codec);
  codes.bits = codec->bits;
  codes.rows = span->rows - first < SLUICE_CHUNK ? span->rows - first : SLUICE_CHUNK;
  codes.cols = codec->head_dim;
  return codes;
}

static uint32_t column(const sluice_span* span, uint32_t row) {
  return span->slot_base + (span->slots ? span->slots[row] : row);
}

/* q . (code * scale + zero) = scale * (q . code) + zero * (sum of q). What rounding q left over meets codes that are
 * half the largest on average. */
static sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  const instance* codec = (const instance*)self;
  const uint32_t n = codec->head_dim;
  work* w = (work*)tile->scratch;
  uint32_t i, c, s, r, first;
  for (i = 0; i < tile->queries; i++) {
    w->steps[i] = codec->kernels->fix(n, q + (size_t)i * n, NULL, w->whole + (size_t)i * n, &w->rounding[i]);
    w->rounding[i] *= levels(codec) / 2;
    for (w->shift[i] = 0, c = 0; c < n; c++) w->shift[i] += q[(size_t)i * n + c];
  }
  for (s = 0; s < tile->count; s++) {
    const sluice_span* span = &tile->spans[s];
    for (first = 0; first < span->rows; first += SLUICE_CHUNK) {
      const sluice_codes codes = chunk_of(codec, span, first);
      codec->kernels->dot(&codes, tile->queries, w->whole, w->steps, w->rounding, HEAD_DIM_MOST, w->sums[0]);
      for (r = 0; r < codes.rows; r++) {
        float scale, zero;
        read_pair((const uint8_t*)span->src + (first + r) * row_bytes(codec), &scale, &zero);
        for (i = 0; i < tile->queries; i++)
          scores[i * tile->stride + column(span, first + r)] = w->sums[i][r] * scale + w->shift[i] * zero;
      }
    }
  }
  return SLUICE_OK;
}

/* sum of w * (code * scale + zero) = sum of (w * scale) * code + sum of w * zero */
static sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  const instance* codec = (const instance*)self;
  const uint32_t n = codec->head_dim;
  work* w = (work*)tile->scratch;
  uint32_t i, c, s, r, first;
  for (s = 0; s < tile->count; s++) {
    const sluice_span* span = &tile->spans[s];
    for (first = 0; first < span->rows; first += SLUICE_CHUNK) {
      const sluice_codes codes = chunk_of(codec, span, first);
      for (i = 0; i < tile->queries; i++) {
        memset(w->weights, 0, sizeof w->weights);
        for (w->shift[i] = 0, r = 0; r < codes.rows; r++) {
          const float weight = weights[i * tile->stride + column(span, first + r)];
          float scale, zero;
          read_pair((const uint8_t*)span->src + (first + r) * row_bytes(codec), &scale, &zero);
          w->weights[r] = weight * scale;
          w->shift[i] += weight * zero;
        }
        w->steps[i] = codec->kernels->split(SLUICE_CHUNK, w->weights, NULL, w->digits + (size_t)i * 3 * SLUICE_CHUNK);
      }
      codec->kernels->mix(&codes, tile->queries, w->digits, w->steps, HEAD_DIM_MOST, w->sums[0]);
      for (i = 0; i < tile->queries; i++)
        for (c = 0; c < n; c++) out[(size_t)i * n + c] += w->sums[i][c] + w->shift[i];
    }
  }
  return SLUICE_OK;
}

/* What TOML, --set and `sluice plugin describe` know of it. */
static const sluice_codec table = {create, destroy, plan,   bound, scratch,   encode,
                                   decode, account, retain, dot,   accumulate};
static const sluice_param params[PARAMS] = {
    {"bits", "bits of a code", "4|8", SLUICE_CHOICE, 0, {0}, {0}, {1}},
    {"block_rows", "rows that gather before they are coded together", NULL, SLUICE_INT, 0, {64}, {1}, {512}},
};
static const sluice_module module = {SLUICE_CODEC,
                                     &table,
                                     SLUICE_CODEC_LAYOUT,
                                     PARAMS,
                                     params,
                                     "my_codec",
                                     "codes each row with a scale and a zero of its own",
                                     "0.1",
                                     NULL,
                                     NULL};
static const sluice_module* const modules[] = {&module};
static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "my_codec 0.1"};
const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
