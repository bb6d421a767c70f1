// What governs a sequence's cache: for every layer an evictor, a codec per side, or neither, with what they
// asked for, and when they act. Built from a Config by core/run; immutable, shared by sequences.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugins/registry.h"
#include "sluice/extensions.h"

namespace sluice {

// What a module may say of itself. More is a mistake of its own, refused before sums of sizes wrap around.
inline constexpr uint32_t kMostPlanRows = 1u << 20;
inline constexpr uint64_t kMostBytes = uint64_t(1) << 40;
inline constexpr uint32_t kDecodeRows = 64;  // rows asked of decode() at a time: policy.h promises no more

// Returns `bytes`, what `verb` of the module gave as a size, or throws Error.
uint64_t sane_bytes(const Instance& module, std::string_view verb, uint64_t bytes);
// Throws Error if `verb` of the codec says that it wrote more than the `room` bytes it had.
void check_written(const Instance& codec, std::string_view verb, uint64_t bytes, uint64_t room);
// Throws Error if what account() tells of a block does not add up to its `bytes`.
void check_account(const Instance& codec, const sluice_account& account, uint64_t bytes);

struct LayerPolicy {
  const Instance* evictor = nullptr;
  const Instance* codec[2] = {nullptr, nullptr};  // by side; NULL: F16 rows
  // A codec whose blocks a device cannot read: rows are coded and decoded at once and stay F16 rows, so that results
  // are the codec's, bytes and speed are not. `codec` of that side is NULL.
  const Instance* simulated[2] = {nullptr, nullptr};
  sluice_codec_plan plan[2] = {};  // zero where there is no codec
  sluice_signal signal[2] = {};    // what the evictor wants of decoded tokens [0], of a prompt [1]
  // What the evictor offers beyond its table, NULL where it does not.
  const sluice_evictor_rows* rows = nullptr;
  const sluice_evictor_window* window = nullptr;
  const sluice_evictor_budget* budget = nullptr;
  uint32_t window_size = 0;  // last queries of a prompt that it wants

  // Lanes of a layer may hold different counts of tokens.
  bool ragged() const { return budget && budget->ragged; }
  bool wants_signal() const { return signal[0].kind != SLUICE_NO_SIGNAL || signal[1].kind != SLUICE_NO_SIGNAL; }
  // Has slot tables of its own: evicts tokens, or gathers a signal for the sequences that will share its rows.
  bool tabled() const { return evictor || wants_signal(); }
  bool coded() const { return codec[SLUICE_KEY] || codec[SLUICE_VALUE]; }
  bool codes() const { return coded() || simulated[SLUICE_KEY] || simulated[SLUICE_VALUE]; }  // rows lose something
};

// Makes `evictor` the layer's and asks it what it wants and what it offers. Throws Error for what cannot be.
void set_evictor(LayerPolicy& layer, const Instance& evictor);

struct Policy {
  std::string name;
  sluice_geometry geometry{};
  std::vector<Instance> instances;  // what the layers point to
  std::vector<LayerPolicy> layers;  // [geometry.layers]
  uint32_t interval = 16;
  uint32_t chunk = 0;  // rows of a chunk while a prompt is fed in chunks, 0: whole prompts
  bool layer_granularity = false;
  double compact = 0.75;
  bool rolling = false;  // positions are ranks among the tokens kept; K is stored as it was before RoPE

  const sluice_evictor& evictor(uint32_t layer) const { return layers[layer].evictor->table<sluice_evictor>(); }
  const sluice_codec& codec(uint32_t layer, uint32_t side) const {
    return layers[layer].codec[side]->table<sluice_codec>();
  }
  const char* positions() const { return rolling ? "rolling" : "absolute"; }  // as in a configuration
  // Sequences may be longer than any context: every layer loses tokens, and those that stay are counted anew.
  bool endless() const {
    return rolling && std::all_of(layers.begin(), layers.end(), [](const LayerPolicy& l) { return l.evictor; });
  }
  uint32_t evictor_lanes() const { return layer_granularity ? 1 : geometry.kv_heads; }
  bool simulated() const {
    return std::any_of(layers.begin(), layers.end(), [](const LayerPolicy& l) { return l.codes() && !l.coded(); });
  }
  uint64_t plugin_bytes() const {
    uint64_t bytes = 0;
    for (const Instance& i : instances) bytes += i.plugin_bytes();
    return bytes;
  }
};

// What a snapshot is held under (see SequenceCache::begin) that sequences under `policy` are to share: nothing is
// evicted or coded; what the evictors want to know of a prompt is gathered, except where only a prompt's last tokens
// count, which come after a prefix.
inline Policy snapshot_policy(const Policy& policy) {
  Policy snapshot;
  snapshot.name = "prefix of " + policy.name;
  snapshot.geometry = policy.geometry, snapshot.rolling = policy.rolling;
  for (const LayerPolicy& layer : policy.layers) {
    LayerPolicy& own = snapshot.layers.emplace_back();
    if (layer.signal[1].window == 0) own.signal[1] = layer.signal[1];
  }
  return snapshot;
}

}  // namespace sluice
