// group: KIVI's quantization. K shares a (scale, zero) pair per channel over `group` tokens, V per token over `group`
// channels, because outliers of K sit in channels and those of V do not. Packing, attention on codes and the
// block's bytes are those of sluice/affine_block.hpp.
#include "sluice/affine_block.hpp"

namespace {

using namespace sluice;

struct Group {
  const sluice_host* host;
  Stats stats;
  Affine sides[2];
  uint32_t group, residual;
  bool sliding;

  const Affine& side(uint32_t which) const { return sides[which]; }
};

enum { kBits, kGroup, kResidual, kValueWindow, kParams };
constexpr uint32_t kPromptRows = 1024;  // groups are independent: longer blocks would save nothing

const Group& codec(const void* self) { return *static_cast<const Group*>(self); }

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {
    const auto group = uint32_t(params[kGroup].i), residual = uint32_t(params[kResidual].i);
    require_head_dim("group", geometry->head_dim);
    require_group("group", group, geometry->head_dim);
    require_whole_groups("group", "residual", residual, group);
    Affine rows;
    rows.kernels = sluice_kernels_best();
    rows.head_dim = geometry->head_dim;
    rows.bits = bits_of_choice(params[kBits].i);
    rows.group = group;
    Affine key = rows;
    key.pairs = Pairs::by_channel;
    *self = host_new<Group>(host, Group{host, Stats(host), {key, rows}, group, residual, params[kValueWindow].i == 1});
  });
}

void plan(const void* self, uint32_t side, sluice_codec_plan* plan) {
  const Group& g = codec(self);
  const bool slides = g.sliding && side == SLUICE_VALUE;
  const uint32_t n = slides ? 1 : g.residual;
  *plan = {n, slides ? g.residual : 0, n < kPromptRows ? kPromptRows / n * n : n, 0,
           affine_tolerance(g.side(side).bits, g.group)};
}

const sluice_codec table = affine_block::table<Group>(create, plan);
const sluice_param params[kParams] = {
    {"bits", "bits of a code", "2|3|4|8", SLUICE_CHOICE, 0, {.i = 2}, {.i = 0}, {.i = 3}},
    {"group",
     "tokens of a channel of K, channels of a token of V, that share a scale and a zero",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 32},
     {.i = 256}},
    {"residual",
     "rows that gather in half precision before they are coded together, a multiple of group",
     nullptr,
     SLUICE_INT,
     0,
     {.i = 64},
     {.i = 32},
     {.i = 1024}},
    {"value_window",
     "sawtooth: V leaves half precision as K does; sliding: one row at a time beyond residual",
     "sawtooth|sliding",
     SLUICE_CHOICE,
     0,
     {.i = 0},
     {.i = 0},
     {.i = 1}},
};
const sluice_module group_module = {SLUICE_CODEC,
                                    &table,
                                    SLUICE_CODEC_LAYOUT,
                                    kParams,
                                    params,
                                    "group",
                                    "K quantized per channel, V per token, in groups (KIVI)",
                                    "1.0",
                                    "https://arxiv.org/abs/2402.02750",
                                    nullptr};
const sluice_module* const modules[] = {&group_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, __VERSION__};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
