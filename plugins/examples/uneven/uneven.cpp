// uneven: bits go where they pay. K keeps its channels, and those with large ranges get wider codes than the others
// (keys.hpp); V is rotated, which makes all its channels alike, and takes one fixed codebook (turboquant/rows.hpp).
// This file is the plugin: parameters, the plan, and the table.
#include "keys.hpp"
#include "sluice/guard.hpp"
#include "turboquant/rows.hpp"

namespace {

using namespace sluice;

struct Uneven {
  const sluice_host* host;
  Stats stats;
  uneven::Keys keys;
  turboquant::Rows values;
  uint32_t residual;
};

enum { kWide, kNarrow, kValueBits, kResidual, kSeed, kParams };
constexpr uint32_t kPromptRows = 1024;  // of V, whose rows are independent; longer blocks would save nothing

const Uneven& codec(const void* self) { return *static_cast<const Uneven*>(self); }
const uneven::Keys& keys(const void* self) { return codec(self).keys; }
const turboquant::Rows& values(const void* self) { return codec(self).values; }

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {
    const uint32_t d = geometry->head_dim, wide = bits_of_choice(params[kWide].i),
                   narrow = bits_of_choice(params[kNarrow].i);
    require_head_dim("uneven", d);
    if (wide < narrow)
      throw Failure(SLUICE_INVALID, "uneven: wide = " + std::to_string(wide) +
                                        " is less than narrow = " + std::to_string(narrow) + "; exchange them");
    *self = host_new<Uneven>(
        host, Uneven{host, Stats(host), uneven::make_keys(d, wide, narrow),
                     turboquant::make_rows(d, uint32_t(params[kValueBits].i) + 2, uint64_t(params[kSeed].i)),
                     uint32_t(params[kResidual].i)});
  });
}

void destroy(void* self) { host_delete(codec(self).host, static_cast<Uneven*>(self)); }

void plan(const void* self, uint32_t side, sluice_codec_plan* plan) {
  const uint32_t n = codec(self).residual;
  if (side == SLUICE_KEY)  // a block is a group
    *plan = {n, 0, n, 0, affine_tolerance(keys(self).narrow.bits, n)};
  else
    *plan = {n, 0, kPromptRows / n * n, 0, values(self).tolerance()};
}

size_t bound(const void* self, uint32_t side, uint32_t rows) {
  return side == SLUICE_KEY ? keys(self).block_bytes(rows) : values(self).block_bytes(rows);
}
size_t scratch(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
  if (side == SLUICE_VALUE) return sizeof(turboquant::Work);
  return queries > 0 ? sizeof(uneven::DotWork) : encode_scratch(keys(self), rows);
}

sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch, void* dst,
                     size_t* bytes) {
  const Stats& stats = codec(self).stats;
  if (block->side == SLUICE_KEY) return uneven::encode(keys(self), stats, block, rows, scratch, dst, bytes);
  return turboquant::encode(values(self), stats, block, rows, scratch, dst, bytes);
}
sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first, uint32_t count,
                     float* rows) {
  if (block->side == SLUICE_KEY) return uneven::decode(keys(self), block, src, first, count, rows);
  return turboquant::decode(values(self), block, src, first, count, rows);
}
void account(const void* self, const sluice_block* block, const void*, sluice_account* account) {
  if (block->side == SLUICE_KEY)
    uneven::account(keys(self), block, account);
  else
    turboquant::account(values(self), block, account);
}
sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                     size_t* bytes) {
  if (block->side == SLUICE_KEY) return uneven::retain(keys(self), block, src, keep, n, bytes);
  return turboquant::retain(values(self), block, src, keep, n, bytes);
}
sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  return uneven::dot(keys(self), tile, q, scores);
}
sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  return turboquant::accumulate(values(self), tile, weights, out);
}

const sluice_codec table = {create, destroy, plan, bound, scratch, encode, decode, account, retain, dot, accumulate};
const sluice_param params[kParams] = {
    {"wide",
     "bits of the half of K's channels with the larger ranges",
     "2|3|4|8",
     SLUICE_CHOICE,
     0,
     {.i = 2},
     {.i = 0},
     {.i = 3}},
    {"narrow", "bits of K's other channels", "2|3|4|8", SLUICE_CHOICE, 0, {.i = 1}, {.i = 0}, {.i = 3}},
    {"value_bits", "bits of V", "2|3|4", SLUICE_CHOICE, 0, {.i = 1}, {.i = 0}, {.i = 2}},
    {"residual",
     "rows that gather in half precision before they are coded together; a channel of K shares a scale and a zero over "
     "them",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 16},
     {.i = 1024}},
    {"seed", "of V's rotation", nullptr, SLUICE_INT, 0, {.i = 1}, {.i = 0}, {.i = INT64_MAX}},
};
const sluice_module uneven_module = {SLUICE_CODEC,
                                     &table,
                                     SLUICE_CODEC_LAYOUT,
                                     kParams,
                                     params,
                                     "uneven",
                                     "more bits for K's channels with large ranges, V rotated with a fixed codebook",
                                     "1.0",
                                     "",
                                     nullptr};
const sluice_module* const modules[] = {&uneven_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
