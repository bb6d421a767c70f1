// uniform: asymmetric min-max quantization with one (scale, zero) pair per row of a head, per channel of a block, or
// per block: the plain baseline of all other codecs. Packing, attention on codes and the block's bytes are those of
// sluice/affine_block.hpp.
#include "sluice/affine_block.hpp"

namespace {

using namespace sluice;

struct Uniform {
  const sluice_host* host;
  Stats stats;
  Affine rows;
  uint32_t block_rows;

  const Affine& side(uint32_t) const { return rows; }
};

enum { kBits, kAxis, kBlockRows, kParams };
enum { kToken, kChannel, kTensor };
constexpr uint32_t kPromptRows = 1024;  // of a block whose rows are independent: more would save nothing

const Uniform& codec(const void* self) { return *static_cast<const Uniform*>(self); }

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {
    require_head_dim("uniform", geometry->head_dim);
    Affine rows;
    rows.kernels = sluice_kernels_best();
    rows.head_dim = geometry->head_dim;
    rows.bits = bits_of_choice(params[kBits].i);
    const auto block_rows = uint32_t(params[kBlockRows].i);
    rows.pairs = params[kAxis].i == kToken     ? Pairs::by_row
                 : params[kAxis].i == kChannel ? Pairs::by_channel
                                               : Pairs::one;
    rows.group = rows.pairs == Pairs::by_channel ? block_rows : rows.head_dim;
    *self = host_new<Uniform>(host, Uniform{host, Stats(host), rows, block_rows});
  });
}

void plan(const void* self, uint32_t, sluice_codec_plan* plan) {
  const Uniform& u = codec(self);
  const uint32_t n = u.block_rows;
  const bool alone = u.rows.pairs == Pairs::by_row;
  const double shared = u.rows.pairs == Pairs::one ? double(n) * u.rows.head_dim : u.rows.group;
  *plan = {n, 0, alone && n < kPromptRows ? kPromptRows / n * n : n, 0, affine_tolerance(u.rows.bits, shared)};
}

const sluice_codec table = affine_block::table<Uniform>(create, plan);
const sluice_param params[kParams] = {
    {"bits", "bits of a code", "2|3|4|8", SLUICE_CHOICE, 0, {.i = 2}, {.i = 0}, {.i = 3}},
    {"axis",
     "who shares a scale and a zero: a token's row of a head, a channel of a block, or the whole block",
     "token|channel|tensor",
     SLUICE_CHOICE,
     0,
     {.i = kToken},
     {.i = kToken},
     {.i = kTensor}},
    {"block_rows",
     "rows that gather before they are coded together",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 1},
     {.i = 1024}},
};
const sluice_module uniform_module = {SLUICE_CODEC,
                                      &table,
                                      SLUICE_CODEC_LAYOUT,
                                      kParams,
                                      params,
                                      "uniform",
                                      "min-max quantization of rows, channels or whole blocks",
                                      "1.0",
                                      nullptr,
                                      nullptr};
const sluice_module* const modules[] = {&uniform_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
