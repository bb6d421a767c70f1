// turboquant: rows rotated at random and coded with one fixed codebook. This file is the plugin: parameters, the plan,
// and the table; the verbs are those of rows.hpp.
#include "rows.hpp"
#include "sluice/guard.hpp"

namespace {

using namespace sluice;

struct TurboQuant {
  const sluice_host* host;
  Stats stats;
  turboquant::Rows rows;
  uint32_t residual;
};

enum { kBits, kResidual, kSeed, kParams };
constexpr uint32_t kPromptRows = 1024;  // rows are independent: longer blocks would save nothing

const TurboQuant& codec(const void* self) { return *static_cast<const TurboQuant*>(self); }

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {
    require_head_dim("turboquant", geometry->head_dim);
    const auto bits = uint32_t(params[kBits].i) + 2;
    *self = host_new<TurboQuant>(
        host, TurboQuant{host, Stats(host), turboquant::make_rows(geometry->head_dim, bits, uint64_t(params[kSeed].i)),
                         uint32_t(params[kResidual].i)});
  });
}

void destroy(void* self) { host_delete(codec(self).host, static_cast<TurboQuant*>(self)); }

void plan(const void* self, uint32_t, sluice_codec_plan* plan) {
  const uint32_t n = codec(self).residual;
  *plan = {n, 0, kPromptRows / n * n, 0, codec(self).rows.tolerance()};
}

size_t bound(const void* self, uint32_t, uint32_t rows) { return codec(self).rows.block_bytes(rows); }
size_t scratch(const void*, uint32_t, uint32_t, uint32_t) { return sizeof(turboquant::Work); }

sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch, void* dst,
                     size_t* bytes) {
  return turboquant::encode(codec(self).rows, codec(self).stats, block, rows, scratch, dst, bytes);
}
sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first, uint32_t count,
                     float* rows) {
  return turboquant::decode(codec(self).rows, block, src, first, count, rows);
}
void account(const void* self, const sluice_block* block, const void*, sluice_account* account) {
  turboquant::account(codec(self).rows, block, account);
}
sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                     size_t* bytes) {
  return turboquant::retain(codec(self).rows, block, src, keep, n, bytes);
}
sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
  return turboquant::dot(codec(self).rows, tile, q, scores);
}
sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
  return turboquant::accumulate(codec(self).rows, tile, weights, out);
}

const sluice_codec table = {create, destroy, plan, bound, scratch, encode, decode, account, retain, dot, accumulate};
const sluice_param params[kParams] = {
    {"bits", "bits of a code", "2|3|4", SLUICE_CHOICE, 0, {.i = 1}, {.i = 0}, {.i = 2}},
    {"residual",
     "rows that gather in half precision before they are coded together",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 1},
     {.i = 1024}},
    {"seed", "of the rotation", nullptr, SLUICE_INT, 0, {.i = 1}, {.i = 0}, {.i = INT64_MAX}},
};
const sluice_module turboquant_module = {SLUICE_CODEC,
                                         &table,
                                         SLUICE_CODEC_LAYOUT,
                                         kParams,
                                         params,
                                         "turboquant",
                                         "rows rotated at random and coded with one fixed codebook (TurboQuant-MSE)",
                                         "1.0",
                                         "https://arxiv.org/abs/2504.19874",
                                         nullptr};
const sluice_module* const modules[] = {&turboquant_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
