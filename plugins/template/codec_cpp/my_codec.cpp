// my_codec: a copy-me codec. Each row becomes codes of 4 or 8 bits with a scale and a zero of its own. Blocks,
// attention on codes and dropping rows are those of sluice/affine_block.hpp; replace any verb in `table` by one of your
// own.
#include <sluice/affine_block.hpp>

namespace {

using namespace sluice;

struct MyCodec {
  const sluice_host* host;
  Stats stats;
  Affine rows;
  uint32_t block_rows;

  // How the rows of K, or those of V, are coded: who shares a pair, and how many bits a code has.
  const Affine& side(uint32_t) const { return rows; }
};

enum { kBits, kBlockRows, kParams };

sluice_status create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                     void** self) {
  return guard(host, [&] {  // what is thrown in here becomes a status and a message
    require_head_dim("my_codec", geometry->head_dim);
    Affine rows;
    rows.kernels = sluice_kernels_best();
    rows.pairs = Pairs::by_row;
    rows.head_dim = rows.group = geometry->head_dim;
    rows.bits = params[kBits].i == 0 ? 4 : 8;
    *self = host_new<MyCodec>(host, MyCodec{host, Stats(host), rows, uint32_t(params[kBlockRows].i)});
  });
}

void plan(const void* self, uint32_t, sluice_codec_plan* plan) {
  const auto& codec = *static_cast<const MyCodec*>(self);
  plan->block_rows = codec.block_rows;
  plan->residual = 0;
  plan->max_rows = codec.block_rows;
  plan->exact = 0;
  plan->tolerance = affine_tolerance(codec.rows.bits, codec.rows.group);
}

// What TOML, --set and `sluice plugin describe` know of it.
const sluice_codec table = affine_block::table<MyCodec>(create, plan);
const sluice_param params[kParams] = {
    {"bits", "bits of a code", "4|8", SLUICE_CHOICE, 0, {0}, {0}, {1}},
    {"block_rows", "rows that gather before they are coded together", nullptr, SLUICE_INT, 0, {64}, {1}, {512}},
};
const sluice_module my_module = {SLUICE_CODEC,
                                 &table,
                                 SLUICE_CODEC_LAYOUT,
                                 kParams,
                                 params,
                                 "my_codec",
                                 "codes each row with a scale and a zero of its own",
                                 "0.1",
                                 nullptr,
                                 nullptr};
const sluice_module* const modules[] = {&my_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "my_codec 0.1"};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
