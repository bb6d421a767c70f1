/* What my_codec promises, on a block of made-up rows: small errors, bytes that add up, rows that survive retain() bit
 * for bit, and attention on codes that agrees with decoded rows. `sluice plugin check` asks what every codec must do.
 */
#include <math.h>

#include "test_host.h"

enum { HEAD_DIM = 64, ROWS = 100, QUERIES = 3 };

static const sluice_codec* codec;
static void* self;
static float rows[ROWS * HEAD_DIM];

/* Numbers from 0 to 1; the same on every machine. */
static float noise(uint32_t* seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return (float)(*seed >> 8) / 16777216.0f;
}

static sluice_block block_of(uint32_t side, uint32_t count) {
  const sluice_block block = {0, 0, side, count, 1, 0, 0};
  return block;
}

static float* decoded(const sluice_block* block, const void* src) {
  float* out = (float*)aligned((size_t)block->rows * HEAD_DIM * sizeof(float));
  uint32_t first;
  for (first = 0; first < block->rows; first += 64) {
    const uint32_t count = block->rows - first < 64 ? block->rows - first : 64;
    CHECK(codec->decode(self, block, src, first, count, out + (size_t)first * HEAD_DIM) == SLUICE_OK);
  }
  return out;
}

static void check_bytes(const sluice_block* block, const void* src, size_t bytes) {
  sluice_account a;
  memset(&a, 0, sizeof a);
  codec->account(self, block, src, &a);
  CHECK(a.codes + a.scales + a.low_rank + a.outlier_values + a.outlier_indices + a.row_pointers + a.index + a.padding ==
        bytes);
}

/* Attention of a few queries over the block, against the decoded rows in double. */
static void check_attention(uint32_t side, const sluice_block* block, const void* src) {
  const sluice_span span = {src, NULL, 0, block->rows};
  const size_t stride = ROWS;
  float* in = (float*)aligned(QUERIES * ROWS * sizeof(float));
  float* out = (float*)aligned(QUERIES * ROWS * sizeof(float));
  const float* x = decoded(block, src);
  sluice_tile tile;
  uint32_t seed = 7, i, r, c;
  memset(&tile, 0, sizeof tile);
  tile.queries = QUERIES, tile.count = 1, tile.spans = &span, tile.stride = stride;
  tile.scratch = aligned(codec->scratch(self, side, block->rows, QUERIES));
  for (i = 0; i < QUERIES * ROWS; i++) in[i] = noise(&seed) - (side == SLUICE_KEY ? 0.5f : 0);
  if (side == SLUICE_KEY) {
    CHECK(codec->dot(self, &tile, in, out) == SLUICE_OK);
    for (i = 0; i < QUERIES; i++)
      for (r = 0; r < block->rows; r++) {
        double sum = 0;
        for (c = 0; c < HEAD_DIM; c++) sum += (double)in[i * HEAD_DIM + c] * x[r * HEAD_DIM + c];
        CHECK(fabs(out[i * stride + r] - sum) < 1e-4);
      }
    return;
  }
  CHECK(codec->accumulate(self, &tile, in, out) == SLUICE_OK);
  for (i = 0; i < QUERIES; i++)
    for (c = 0; c < HEAD_DIM; c++) {
      double sum = 0;
      for (r = 0; r < block->rows; r++) sum += (double)in[i * stride + r] * x[r * HEAD_DIM + c];
      CHECK(fabs(out[i * HEAD_DIM + c] - sum) < 1e-4);
    }
}

static void check_side(uint32_t side) {
  sluice_block block = block_of(side, ROWS);
  sluice_codec_plan plan;
  const size_t bound = codec->bound(self, side, ROWS);
  void* scratch = aligned(codec->scratch(self, side, ROWS, 0));
  unsigned char* packed = (unsigned char*)aligned(bound + 1);
  uint32_t keep[ROWS], n = 0, r, c;
  double error = 0, size = 0;
  size_t bytes = 0;
  float *before, *after;

  memset(&plan, 0, sizeof plan);
  codec->plan(self, side, &plan);
  packed[bound] = 0xA5;
  CHECK(codec->encode(self, &block, rows, scratch, packed, &bytes) == SLUICE_OK);
  CHECK(bytes <= bound && packed[bound] == 0xA5);
  check_bytes(&block, packed, bytes);
  before = decoded(&block, packed);
  for (r = 0; r < ROWS * HEAD_DIM; r++) {
    error += (double)(before[r] - rows[r]) * (before[r] - rows[r]);
    size += (double)rows[r] * rows[r];
  }
  CHECK(sqrt(error) <= plan.tolerance * sqrt(size));
  check_attention(side, &block, packed);

  for (r = 0; r < ROWS; r++)
    if (r % 3 != 1) keep[n++] = r;
  CHECK(codec->retain(self, &block, packed, keep, n, &bytes) == SLUICE_OK);
  block.rows = n;
  check_bytes(&block, packed, bytes);
  after = decoded(&block, packed);
  for (r = 0; r < n; r++)
    for (c = 0; c < HEAD_DIM; c++) CHECK(after[r * HEAD_DIM + c] == before[keep[r] * HEAD_DIM + c]);
  check_attention(side, &block, packed);
}

int main(void) {
  const sluice_module* module = first_module();
  sluice_geometry geometry = {1, 4, 2, HEAD_DIM, 4096};
  sluice_value values[16];
  uint32_t seed = 1, i, k;
  default_values(module, values);
  codec = (const sluice_codec*)module->table;
  CHECK(strcmp(module->interface_id, SLUICE_CODEC) == 0 && module->layout == SLUICE_CODEC_LAYOUT);
  CHECK(codec->create(&test_host, &geometry, values, &self) == SLUICE_OK);
  for (i = 0; i < ROWS * HEAD_DIM; i++) { /* sums of uniform numbers are nearly normal; halves, as a host has them */
    float sum = -6;
    for (k = 0; k < 12; k++) sum += noise(&seed);
    rows[i] = (float)(int32_t)(sum * 256) / 256;
  }
  check_side(SLUICE_KEY);
  check_side(SLUICE_VALUE);
  codec->destroy(self);

  geometry.head_dim = 80; /* codes come in groups of 32 */
  CHECK(codec->create(&test_host, &geometry, values, &self) == SLUICE_UNSUPPORTED && host_message[0] != 0);
  printf("%s: as promised\n", module->name);
  return 0;
}
